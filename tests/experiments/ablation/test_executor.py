"""Real processes: a run that cannot be, a worker that dies, and a runner that is killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.ablation.executor import Worker
from experiments.ablation.plan import Plan
from experiments.ablation.result import Failure, Result
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from experiments.ablation.workers import Workers

ROOT = Path(__file__).resolve().parents[3]
STUDY = '''
"""Three learning rates on green bottles."""
import dataclasses
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from experiments.ablation.arm import Arm
from experiments.ablation.decision import Better
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.workers import Workers
from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import Constant


@dataclasses.dataclass(frozen=True)
class MyRate(Constant):
    """A type of the study's own."""


def study():
    parent = Experiment(
        model=TransformerConfig(1, 16, 257, Attention(heads=2), MLP(hidden=32), precision=Precision(compute="float32")),
        data=Recipe(TextFiles("TEXT"), (), TailSplit(0.2), Bytes()),
        batch=Batches(sequence=32, batch=8, evaluation=16),
        optimizer=AdamW(),
        schedule=MyRate(peak=1e-2),
        steps=STEPS,
        cadence=Cadence(log=5, evaluate=STEPS, checkpoint=10),
    )
    scale = Scale(parent, seeds=2)
    return Study(
        paper=Paper("A Paper", "Author", 2020, "arXiv:1", "Table 1"),
        hypothesis="One hundredth is better than one millionth.",
        arms=(Arm("good", paper=PaperNumber(1.0, "Table 1")), Arm("bad", {"schedule.peak": 1e-6})),
        metric=Lower("eval/loss", "nats"),
        claim=Better(names=("good",), than=("bad",)),
        control=Better(names=("good",), than=("bad",)),
        scales={"cpu": scale, "gpu": scale, "paper": scale},
    )
'''


def command(folder: Path, steps: int, *flags: str) -> list[str]:
    text = "".join(f"{n} green bottles hanging on the wall; {n * 7919 % 1013} of them may fall.\n" for n in range(150))
    (folder / "bottles.txt").write_text(text)
    study = STUDY.replace("TEXT", str(folder / "bottles.txt")).replace("STEPS", str(steps))
    (folder / "bottles.py").write_text(study)
    given = (f"--study={folder / 'bottles.py'}", f"--out={folder / 'out'}", *flags)
    return [sys.executable, "-m", "experiments.ablate", *given]


def results(folder: Path) -> dict[str, dict]:
    found = {}
    for path in (folder / "out" / "runs").glob("*/result.json"):
        name = json.loads((path.parent / "order.json").read_text())["name"]
        found[name] = json.loads(path.read_text())
    return found


@pytest.mark.slow
def test_a_killed_runner_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    # One device as outside of tests, and time to be killed in.
    env = {**os.environ, "XLA_FLAGS": ""}
    calm = subprocess.run(
        command(tmp_path / "calm", 400), cwd=ROOT, env=env, capture_output=True, text=True, timeout=600
    )
    assert calm.returncode == 0, calm.stderr
    folder, kills = tmp_path / "killed", 0
    line = command(folder, 400)
    for _ in range(2):
        process = subprocess.Popen(line, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until, before = time.monotonic() + 120, len(results(folder))
        # In the midst of a run: a checkpoint is there, and no result.
        while time.monotonic() < until and process.poll() is None:
            running = [p for p in (folder / "out" / "runs").glob("*/run/checkpoints/*") if p.name.isdecimal()]
            if running and len(results(folder)) >= before:
                break
            time.sleep(0.05)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert kills >= 1 and done.returncode == 0, done.stderr
    one, other = results(tmp_path / "calm"), results(folder)
    assert one.keys() == other.keys() == {f"{arm}, seed {seed}" for arm in ("good", "bad") for seed in range(2)}
    for name, result in one.items():
        for key in ("eval/loss", "train/loss", "train/grad_norm"):
            assert result["series"][key] == other[name]["series"][key], f"{name}: {key}"
    # No weights are left, and nothing is made a second time.
    assert not list((folder / "out" / "runs").glob("*/run/checkpoints"))
    again = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert "4 runs were there already" in again.stdout and "inconclusive (needs 3 more seeds)" in again.stdout
    assert (folder / "out" / "bottles-cpu" / "index.html").exists()


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_the_next_goes_on(study: Study, tmp_path: Path) -> None:
    plan = Plan(study, study.at("cpu", ["model.vocab=9"], 1), study.arms[:1])
    good = Plan(study, study.at("cpu", seeds=1), study.arms[:1])
    with Workers() as executor:
        ((_, failed),) = executor.run(plan.due({}), Store(tmp_path))
        first = executor._workers[0]._process
        ((_, done),) = executor.run(good.due({}), Store(tmp_path))
        assert isinstance(failed, Failure) and "model.vocab is 9, but the tokenizer has 257 ids" in failed.reason
        assert isinstance(done, Result) and executor._workers[0]._process is first
        assert done.last("eval/loss") < 6 and done.steps == 4 and done.tokens == 4 * 8 * 32
        # A worker that is killed between two runs is started again.
        assert first is not None
        first.kill()
        first.wait()
        more = Plan(study, study.at("cpu", ["seed=0"], 2), study.arms[:1])
        outcomes = [outcome for _, outcome in executor.run(more.due({}), Store(tmp_path))]
        assert all(isinstance(outcome, Result) for outcome in outcomes) and outcomes[0] == done


def test_a_process_that_dies_each_time_is_told(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(study, study.at("cpu", seeds=1), study.arms[:1])
    started = []

    def dying(self: Worker, store: Store) -> subprocess.Popen[str]:
        started.append(1)
        code = "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)"
        return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(Worker, "_started", dying)
    with Workers() as executor:
        ((_, outcome),) = executor.run(plan.due({}), Store(tmp_path))
    assert (
        isinstance(outcome, Failure) and "its process killed: ended by signal 9" in outcome.reason and len(started) == 2
    )
