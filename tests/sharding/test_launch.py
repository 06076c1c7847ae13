"""The launcher: what it prints, as text; and that running it and running what it prints do the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data import exits
from sharding.pods.container import recipe

ROOT = Path(__file__).resolve().parents[2]
JOB = ("--tpu=v5e:16x16", "--config=gpt2_124m", "--run=gs://bucket/run", "--name=night", "--set=seed=7")


def launch(*flags: str, programs: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.environ["PATH"] if programs is None else f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "sharding.launch", *flags],
        cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Stand-ins that write down what they were given, and read."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("kubectl", "xpk", "docker", "gcloud"):
        calls = tmp_path / "calls"
        body = f'printf "%s\\0" "$0" "$@" >>{calls}; [ -t 0 ] || cat >>{calls}; [ ! -f {tmp_path}/bad ]'
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


TRAIN = "python -m train --config=gpt2_124m --run=gs://bucket/run --distributed --set=seed=7"
AGAIN = ",".join(map(str, exits.restartable()))
SHOWN = {
    "xpk": (
        ("--image=i:1", "--cluster=c", "--zone=us-east5-a", "--project=p", "--slices=2"),
        "set -e\nxpk workload create --cluster=c --zone=us-east5-a --project=p --workload=night "
        f"--tpu-type=v5litepod-256 --num-slices=2 --docker-image=i:1 '--command={TRAIN}' --max-restarts=100 "
        f"--restart-on-exit-codes={AGAIN} --termination-grace-period-seconds=120\n",
    ),
    "ssh": (
        ("--zone=z", "--setup=pip install WHEEL"),
        "set -e\ngcloud compute tpus tpu-vm ssh night --zone=z --worker=all "
        f"'--command=pip install WHEEL && {TRAIN} --supervise --restarts=100'\n",
    ),
    "image": (
        ("--image=i:1",),
        "set -e\ndocker build --platform=linux/amd64 --tag=i:1 --file=- . <<'END'\n"
        f"{recipe()}END\ndocker push i:1\n",
    ),
}


@pytest.mark.parametrize("via", SHOWN)
def test_dry_run_prints_the_commands(via: str, programs: Path) -> None:
    flags, expected = SHOWN[via]
    done = launch(f"--via={via}", *JOB, *flags, "--dry-run", programs=programs)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    assert not (programs.parent / "calls").exists()


@pytest.mark.parametrize("via", ["jobset", "xpk", "image"])
def test_what_is_printed_does_what_is_done(via: str, programs: Path) -> None:
    flags = ("--image=i:1",) if via == "jobset" else SHOWN[via][0]
    calls = programs.parent / "calls"
    assert launch(f"--via={via}", *JOB, *flags, programs=programs).returncode == 0
    ran = calls.read_bytes()
    calls.unlink()
    shown = launch(f"--via={via}", *JOB, *flags, "--dry_run").stdout
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(["bash"], input=shown, env=environment, text=True, check=True, timeout=60)
    # A here-document ends with a line's end.
    assert calls.read_bytes().replace(b"\n", b"") == ran.replace(b"\n", b"") != b""
    if via == "jobset":
        manifest = yaml.safe_load(ran.rsplit(b"\0", 1)[1])
        assert manifest["metadata"]["name"] == "night"


def test_a_program_that_fails_ends_it(programs: Path) -> None:
    (programs.parent / "bad").touch()
    done = launch("--via=image", "--image=i", programs=programs)
    assert done.returncode == 1 and "`docker build" in done.stderr and "ended with status 1" in done.stderr
    assert b"push" not in (programs.parent / "calls").read_bytes()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--via=queued", *JOB), "--via=queued needs --zone"),
        (("--image=i", *JOB[1:]), "--via=jobset needs --tpu"),
        (("--image=i", *JOB, "--tpu=v5e:2x2", "--slices=2"), "v5e:2x2 is one host"),
        (("--via=ssh", *JOB, "--zone=z", "--setup=true", "--slices=2"), "--via=ssh reaches one slice"),
        (("--via=xpk", *JOB, "--tpu=tpu7x:4x4x4", "--image=i", "--cluster=c", "--zone=z"), "use --via=jobset"),
    ],
)
def test_mistakes_get_a_sentence(flags: tuple[str, ...], sentence: str) -> None:
    done = launch("--dry-run", *flags)
    assert done.returncode == 2 and sentence in done.stderr and not done.stdout


def test_image_holds_what_a_run_needs() -> None:
    """What the recipe copies is there, and its line on JAX names the pinned version with the TPU's extra."""
    copied = [line.split()[1:-1] for line in recipe().splitlines() if line.startswith("COPY")]
    for name in sum(copied, []):
        assert (ROOT / name).exists(), name
    line = next(line for line in recipe().splitlines() if "grep" in line)
    command = line.split('"$(')[1].split(')"')[0]
    named = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    pinned = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("jax==")]
    assert [named] == [line.replace("jax", "jax[tpu]") for line in pinned]
