"""The loop does not wait for the device: values are read at the cadence of the log and no oftener."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.array import ArrayImpl

from train.load import load_experiment
from train.loop import train
from train.program import Programs
from train.run_directory import RunDirectory
from train.vigil import Vigil

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).parent / "processes.py")
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

STEPS, LOG = 100, 10


class Reads:
    """Counts how often the host takes a value from a device, or waits for one, while steps go on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count, self.steps, self._on = 0, 0, False
        ask = Vigil.step

        def seen(take):
            def counted(array, *arguments, **options):
                if not isinstance(array, ArrayImpl):
                    return take(array, *arguments, **options)
                # One read may pass through several of these; only the outermost counts.
                self.count, on, self._on = self.count + self._on, self._on, False
                try:
                    return take(array, *arguments, **options)
                finally:
                    self._on = on

            return counted

        def step(vigil):
            self.steps += 1
            self._on = 1 < self.steps < STEPS
            return ask(vigil)

        patch.setattr(ArrayImpl, "_value", property(seen(ArrayImpl._value.fget)))
        for name in ("block_until_ready", "__array__", "item", "tolist"):
            patch.setattr(ArrayImpl, name, seen(getattr(ArrayImpl, name)))
        # On a CPU NumPy looks into an array's memory and asks nobody.
        for name in ("asarray", "array"):
            patch.setattr(np, name, seen(getattr(np, name)))
        patch.setattr(Vigil, "step", step)

    def of(self, read) -> int:
        """How many a call makes."""
        before, self._on = self.count, True
        read()
        self._on = False
        return self.count - before


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    with monkeypatch.context() as patch:
        yield Reads(patch)


@pytest.mark.parametrize(
    "read",
    [
        float, int, bool, jax.device_get, jax.block_until_ready, lambda x: np.asarray(x), lambda x: np.array(x),
        lambda x: x.item(), lambda x: x.tolist(), lambda x: x + np.float32(float(x)),
    ],
)  # fmt: skip
def test_every_way_to_read_is_counted(reads: Reads, read) -> None:
    assert reads.of(lambda: read(jnp.ones(()) + 1)) >= 1
    assert reads.of(lambda: jnp.ones(()) + 1) == 0


def run(directory: Path) -> None:
    config = processes.write_experiment(directory)
    changes = [f"steps={STEPS}", f"cadence=Cadence(log={LOG}, evaluate={STEPS}, checkpoint={STEPS})"]
    _, experiment = load_experiment(str(config), [*changes, "model.layers=1", "model.dropout=0"])
    train(experiment, RunDirectory(directory / "run"), say=lambda line: None)


def test_reads_follow_the_log_and_not_the_steps(reads: Reads, tmp_path: Path) -> None:
    run(tmp_path)
    assert reads.steps == STEPS
    lines = [line for line in processes.metrics(tmp_path / "run") if "train/loss" in line]
    assert len(lines) == STEPS / LOG
    # Each line is read once, one interval late; the last falls after the steps that are counted.
    # Beside what is written there are four signs of bad steps, and once the three figures of the first three steps.
    each = len(lines[0]) - 1 + 4
    assert 0 < reads.count <= each * (len(lines) - 1) + 9


def test_one_read_a_step_would_show(reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = Programs.at

    def waiting(self: Programs, step: int):
        def program(state, batch):
            state, metrics = compiled(self, step)(state, batch)
            float(metrics["train/loss"])
            return state, metrics

        return program

    monkeypatch.setattr(Programs, "at", waiting)
    run(tmp_path)
    assert reads.count >= STEPS - 2
