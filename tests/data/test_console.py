"""How verbs start and end, seen from outside: real processes, their output and exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.console import nearest

ROOT = Path(__file__).resolve().parents[2]

VERB = '''
"""Counts things.

Slowly.
"""
import asyncio

from absl import flags
from data import console

STEPS = flags.DEFINE_integer("steps", 10, "how many steps", lower_bound=1)
RATE = flags.DEFINE_float("rate", 0.5, "how fast")
KIND = flags.DEFINE_enum("kind", "plain", ["plain", "fancy"], "which")
SMALL = flags.DEFINE_bool("small", False, "less of it")

def main(argv):
    how = argv[1] if len(argv) > 1 else ""
    if how == "usage":
        raise console.UsageError("no config is named\\n  'tinny'")
    if how == "value":
        raise ValueError("line 3\\nis empty")
    if how == "key":
        return {}["x"]
    if how == "empty":
        raise ValueError
    if how == "assert":
        assert argv is None
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "absent":
        open("/nowhere/x.json")
    if how == "full":
        with console.naming("/dev/full"), open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    if how == "side by side":
        global other
        other = asyncio.new_event_loop().create_future()
        other.set_exception(ValueError("line 4 is empty"))
        raise ValueError("line 3 is empty")
    if how == "exit":
        raise SystemExit(7)
    if how == "status":
        return 5
    if how == "many":
        for number in range(100_000):
            print(number)
    if how == "pipe":
        raise BrokenPipeError(32, "Broken pipe")
    print("done", how, STEPS.value)

if __name__ == "__main__":
    console.quiet()
    console.run(main, positionals=("[HOW]",), interrupted="run it again to go on")
'''


@pytest.fixture(scope="module")
def verb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verb") / "verb.py"
    path.write_text(VERB)
    return path


def call(path: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, **options
    )


def test_flags_may_stand_anywhere(verb: Path) -> None:
    done = call(verb, "--rate", "2", "well", "--steps=3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done well 3\n", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--stpes", "3"], "unknown flag --stpes; did you mean --steps?"),
        (["--nosmal"], "unknown flag --nosmal; did you mean --nosmall?"),
        (["--zzz"], "unknown flag --zzz; --help lists the flags"),
        (["--steps=abc"], "--steps is 'abc'; it must be a positive integer"),
        (["--steps=0"], "--steps is '0': 0 is not a positive integer"),
        (["--steps"], "--steps needs a value"),
        (["--rate", "x"], "--rate is 'x'; it must be a number"),
        (["--small=maybe"], "--small is 'maybe'; it must be true or false"),
        (["--kind=fncy"], "--kind is 'fncy'; it is one of plain, fancy; did you mean fancy?"),
        (["a", "steps"], "unexpected argument 'steps'; did you mean --steps?"),
        (["usage"], "no config is named 'tinny'"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(verb: Path, arguments: list[str], line: str) -> None:
    done = call(verb, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("value", "line 3 is empty"),
        ("key", "KeyError: 'x'"),
        ("empty", "ValueError without a message"),
        ("assert", "AssertionError without a message"),
        ("absent", "/nowhere/x.json: no such file or directory"),
        ("pipe", "broken pipe"),
        ("side by side", "line 3 is empty"),
    ],
)
def test_a_failure_gets_one_line_and_status_1(verb: Path, how: str, line: str) -> None:
    done = call(verb, how)
    assert done.returncode == 1
    assert done.stderr == f"error: {line} (--traceback shows where)\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named(verb: Path) -> None:
    done = call(verb, "full")
    line = "error: no space left on device while writing /dev/full (--traceback shows where)\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_traceback_shows_the_stack(verb: Path) -> None:
    done = call(verb, "value", "--traceback")
    assert done.returncode == 1
    assert f'File "{verb}", line' in done.stderr
    assert done.stderr.endswith("\nerror: line 3 is empty\n")


def test_interruption_says_how_to_go_on(verb: Path) -> None:
    done = call(verb, "interrupt")
    assert (done.returncode, done.stderr) == (130, "\ninterrupted; run it again to go on\n")


@pytest.mark.parametrize(("how", "status"), [("exit", 7), ("status", 5)])
def test_a_verb_chooses_its_exit_status(verb: Path, how: str, status: int) -> None:
    done = call(verb, how)
    assert (done.returncode, done.stderr) == (status, "")


def test_a_reader_that_stops_is_no_error(verb: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(verb), "many"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("flag", ["--help", "-h", "-help"])
def test_help_is_complete_and_holds_no_library_flags(verb: Path, flag: str) -> None:
    done = call(verb, flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Counts things.\n\nSlowly.\n\nusage: python ")
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")]
    assert shown == ["--steps", "--rate", "--kind", "--[no]small", "--[no]traceback", "--help"]
    assert "how many steps (default: 10)" in done.stdout
    assert "--kind plain|fancy" in done.stdout


def test_heavy_libraries_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "heavy.py"
    path.write_text(
        "from data import console\n"
        "console.quiet()\n"
        "import jax, tensorflow, orbax.checkpoint\n"
        "from absl import logging\n"
        "def main(argv):\n"
        "    jax.block_until_ready(jax.jit(lambda x: x + 1)(1.0))\n"
        "    tensorflow.data.Dataset.range(3).batch(2).as_numpy_iterator().next()\n"
        "    logging.warning('chatter')\n"
        "console.run(main)\n"
    )
    # As a person has it who set nothing: no platform chosen, the TPU compiler installed.
    spoken_for = ("JAX_", "TF_", "TPU_", "XLA_", "GRPC_", "GLOG_", "ALLOW_MULTIPLE_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(spoken_for)}
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nearest_is_silent_when_nothing_is_near() -> None:
    assert nearest("layres", ["layers", "heads"]) == "; did you mean layers?"
    assert nearest("qqq", ["layers", "heads"]) == ""
