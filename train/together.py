"""The training loop of several trials that are one program: figures for each, as if it had been run by itself."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data import atomic
from data.batch import Batch
from data.prepared import Prepared
from data.training import training
from train.checkpoint import Checkpoints
from train.corpus import prepare
from train.evaluation import Total, figures
from train.experiment import Experiment
from train.feed import to_devices
from train.retention import Keep
from train.run_directory import RunDirectory
from train.state import TrainState
from train.trials import Trials

# Of a trial: the values of every metric, by name, as pairs of a step and a value.
Series = dict[str, list[tuple[int, float]]]


def train_together(
    experiments: Sequence[Experiment], run: RunDirectory, say: Callable[[str], None] = print
) -> list[Series]:
    """Trains experiments that differ in numbers alone, or goes on where an earlier call was stopped.

    Each is logged and evaluated when it would be by itself. Of checkpoints there is one, with the states of all.

    Args:
      experiments: the trials.
      run: the directory that they share; only data, checkpoints and a file of series are written there.
      say: prints a line.

    Returns:
      The series of each trial.

    Raises:
      NotTogether: if one program cannot train them.
      ValueError: if the data does not go with the model or the batches.
    """
    trials = Trials(experiments)
    first, layout = experiments[0], trials.layout
    first.fits(layout.mesh.size // layout.mesh.shape["trial"])
    prepared = prepare(first, run, say)
    series = _Series(run, len(experiments))
    checkpoints = Checkpoints(run.checkpoints, Keep(latest=1), say)
    count = jax.ShapeDtypeStruct((), jnp.int32, sharding=layout.replicated)
    found = checkpoints.restore(_wrapped(trials.abstract, count))
    state, start = (trials.fresh(), 0) if found is None else (_unwrapped(found), int(found.step))
    series.begin(start)
    most = max(one.steps for one in experiments)
    batches = _batches(experiments, prepared, start)
    for at in range(start + 1, most + 1):
        state, metrics = trials.step(state, trials.rows(next(batches)))
        due = [one.cadence.due(at, last=at == one.steps) if at <= one.steps else (False,) * 3 for one in experiments]
        logging, evaluating, saving = ([i for i, each in enumerate(due) if each[kind]] for kind in range(3))
        if logging:
            # Those of bad steps are for whoever takes a run back.
            told = {key: value for key, value in metrics.items() if not key.startswith("safety/")}
            values = {key: np.asarray(value, np.float64) for key, value in told.items()}
            series.note(at, logging, [{key: value[i] for key, value in values.items()} for i in logging])
        if evaluating:
            told = _evaluated(trials, state, first, prepared, len(experiments))
            series.note(at, evaluating, [told[i] for i in evaluating])
            say(f"evaluate: step {at}: " + ", ".join(f"{told[i]['eval/loss']:.4f}" for i in evaluating))
        if saving:
            series.write(at)
            checkpoints.save(_wrapped(state, jax.device_put(np.int32(at), layout.replicated)))
    checkpoints.close()
    return series.of


def _batches(experiments: Sequence[Experiment], prepared: Prepared, start: int) -> Iterator[list[Batch]]:
    """The batches of each step, one a trial; trials of one seed and length read the same."""
    kinds = [(one.seed, one.steps) for one in experiments]
    readers = {}
    for one, kind in zip(experiments, kinds, strict=True):
        if kind not in readers:
            batch = one.batch
            reading = training(
                one.data, prepared, batch.form, batch=batch.batch, steps=one.steps, seed=one.seed, log=lambda line: None
            )
            readers[kind] = reading.pipeline.from_step(start)
    latest: dict[tuple[int, int], Batch] = {}
    while True:
        # A trial that is done is given its last batch, which changes nothing.
        latest |= {kind: found[1] for kind, reader in readers.items() if (found := next(reader, None)) is not None}
        yield [latest[kind] for kind in kinds]


def _evaluated(
    trials: Trials, state: TrainState, one: Experiment, prepared: Prepared, number: int
) -> list[dict[str, float]]:
    """What an evaluation tells of each trial."""
    stores = {name: part.validation for name, part in prepared.sources.items()}
    told: list[dict[str, float]] = [{} for _ in range(number)]
    for prefix, form in one.batch.evaluated.items():
        found: dict[str, list[Total]] = {}
        for name, store in stores.items():
            batches = form.evaluation(store, prepared.tokenizer, one.batch.evaluation_rows)
            parts = [trials.sums(state, to_devices(batch, trials.layout)) for batch in batches]
            whole = [(np.asarray(sums), np.asarray(at)) for sums, at in parts]
            found[name] = [Total.of([(sums[:, i], at[:, i]) for sums, at in whole]) for i in range(number)]
        for i, mine in enumerate(told):
            totals = {name: of[i] for name, of in found.items()}
            mine |= figures(totals, stores, one.batch.targets, prefix)
    return told


class _Series:
    """The series of all trials, of which those up to a checkpoint lie beside it."""

    def __init__(self, run: RunDirectory, trials: int) -> None:
        self._path = run.checkpoints.parent / "series.json"
        self.of: list[Series] = [{} for _ in range(trials)]

    def begin(self, start: int) -> None:
        """Takes up those up to a step."""
        if start:
            for mine, theirs in zip(self.of, json.loads(self._path.read_text()), strict=True):
                mine |= {key: [(at, value) for at, value in points if at <= start] for key, points in theirs.items()}

    def note(self, at: int, which: Sequence[int], values: Sequence[Mapping[str, float]]) -> None:
        """Adds the figures of a step, of those trials."""
        for i, told in zip(which, values, strict=True):
            for key, value in told.items():
                self.of[i].setdefault(key, []).append((at, float(value)))

    def write(self, at: int) -> None:
        """Puts all on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(self._path, json.dumps(self.of))


def _wrapped(state: TrainState, step: Any) -> TrainState:
    """States of all trials as the weights of one, which a checkpoint knows by its step."""
    return TrainState(step, step, state._asdict(), {}, {}, {})


def _unwrapped(state: TrainState) -> TrainState:
    return TrainState(**state.weights)
