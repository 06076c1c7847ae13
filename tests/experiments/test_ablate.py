"""The verb: what is asked for wrongly gets one sentence, and nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ablate(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.ablate", *flags],
        cwd=ROOT, env={**os.environ, "XLA_FLAGS": ""}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "--study is required; --list names the studies"),
        (["--study=glu_variant"], "there is no study 'glu_variant'; did you mean glu_variants?"),
        (
            ["--study=rms_norm", "--scale=gpus"],
            "there is no scale 'gpus'; did you mean gpu?; there are cpu, gpu, paper",
        ),
        (["--study=rms_norm", "--seeds=0"], "Scale.seeds is 0; a claim is judged by at least 1"),
        (["--study=rms_norm", "--arms=RMSNrm"], "there is no arm 'RMSNrm'; did you mean RMSNorm?"),
        (["--study=rms_norm", "--set=model.layer=2"], "unknown key 'model.layer'"),
        # The parent can be, and its arms cannot.
        (
            ["--study=glu_variants", "--set=model.feedforward=MoE(experts=2, top_k=1, expert=MLP(hidden=4))"],
            "arm 'ReLU': 'MoE' object has no attribute 'hidden'",
        ),
        (["--study=rms_norm", "--text=/no/such.txt"], "/no/such.txt"),
    ],
)
def test_wrong_flags_get_one_sentence(flags: list[str], words: str, tmp_path: Path) -> None:
    done = ablate(*flags, f"--out={tmp_path / 'out'}")
    assert done.returncode in (1, 2) and words in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = ablate("--study=rms_norm", "--dry_run", f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "model.norm.type: 'RMSNorm' -> 'LayerNorm'" in done.stdout
    assert "24 runs; of the first 9, 0 are there already" in done.stdout
    assert not (tmp_path / "out").exists()
