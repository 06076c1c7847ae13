"""Mistakes of people and of disks: one sentence, the right exit status, nothing half written."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return processes.write_experiment(tmp_path_factory.mktemp("mistakes"))


USAGE = [
    ("--set=model.attention.haeds=4", "Attention has no 'haeds'; did you mean 'heads'?"),
    ("--set=model.attention.heads=3", "embed is 16, which Attention.heads (3) does not divide"),
    ("--set=batch.sequence=sixteen", "batch.sequence: 'sixteen' is no int"),
    ("--set=model.attention.mask=Causal() & SlidingWindow(64)", "reaches 64 tokens, more than batch.sequence (16)"),
    ("--set=placement=FullySharded(fsdp=3)", "which the placement splits in 3 ways"),
    ("--set=placement=Combined(context=5)", "cuts a row in 5 parts; the nearest length that works is 15"),
    ("--set=placement=Combined(stage=4)", "loops of 2 x 1 layers, and placement.stage is 4, which divides"),
    ("--set=model.norm=BatchNorm()", "there is no type 'BatchNorm' here; there is LayerNorm, RMSNorm"),
    ("--rnu=elsewhere", "unknown flag --rnu; did you mean --run?"),
]

FAILURES = [
    ("--set=data.source.path=/no/such/file", "/no/such/file"),
    ("--set=data.source.path=empty.txt", "none are left to learn from"),
    ("--set=batch.sequence=40000", "needs a corpus of at least"),
    ("--set=model.vocab=100", "the tokenizer has 257 ids; set model.vocab=257"),
    ("--set=placement=TensorParallel(tensor=2)", "does not fit 1 devices"),
]


@pytest.mark.parametrize(("change", "sentence"), USAGE)
def test_usage_is_refused_before_anything_is_written(config: Path, change: str, sentence: str) -> None:
    run = config.parent / "never"
    process = processes.start(config, run, change)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert sentence in output and len(output.strip().splitlines()) == 1
    assert not run.exists()


@pytest.mark.parametrize(("change", "sentence"), FAILURES)
def test_failure_is_one_sentence(config: Path, change: str, sentence: str, tmp_path: Path) -> None:
    (config.parent / "empty.txt").write_text("")
    change = change.replace("empty.txt", str(config.parent / "empty.txt"))
    process = processes.start(config, tmp_path / "run", change)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ") and sentence in last and "Traceback" not in output
    assert not list((tmp_path / "run").glob("checkpoints/*"))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount the small disk that is to be filled")
def test_full_disk_is_one_sentence_and_older_checkpoints_stay(config: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        # A state of about 7 MB: the third checkpoint does not fit beside the two that are kept.
        big = ["--set=model.embed=128", "--set=model.feedforward.hidden=512", "--set=model.attention.heads=4"]
        process = processes.start(config, disk / "run", *big, "--set=cadence.keep=9")
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 1, output
        assert "no space left on device" in output.strip().splitlines()[-1] and "Traceback" not in output
        steps = [int(p.name) for p in (disk / "run" / "checkpoints").iterdir() if p.name.isdigit()]
        assert steps
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
