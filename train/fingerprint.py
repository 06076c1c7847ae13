"""What a run was begun with, kept beside it: whether its data or its program changed shows when it goes on."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

import jax
from etils import epath

from data import atomic
from train.digest import batch_digest
from train.metrics import read_metrics
from train.objective import Batch
from train.program import Programs
from train.state import TrainState

# How many of the first batches and losses are kept.
FIRST = 3
_KEPT = ("train/batch", "train/loss", "train/grad_norm")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "tensorflow-cpu", "tensorflow")


class Fingerprint:
    """The digests of the first batches, their losses and gradient norms, and the hashes of the programs since.

    Args:
      path: the file.
      log: the metrics file, of which steps that are done again must give the same.
      start: steps done before.
      position: where this start reads from.
      trusted: steps up to which what is logged was read in the order that this start reads in.
      lead: whether this process writes.
      say: prints a line.
    """

    def __init__(
        self,
        path: epath.Path,
        log: epath.Path,
        start: int,
        position: int,
        trusted: int | float,
        lead: bool,
        say: Callable[[str], None],
    ) -> None:
        self._path, self._start, self._position, self._lead, self._say = path, start, position, lead, say
        self._stored = _read(path)
        self._logged = {
            line["step"]: line for line in read_metrics(log) if start < line["step"] <= trusted and _KEPT[0] in line
        }
        self._steps: list[Mapping[str, jax.Array]] = []

    def check(
        self,
        programs: Programs,
        batches: Callable[[int, int], Iterator[Batch]],
        begun: Callable[[], TrainState],
    ) -> None:
        """Says in one line what changed since the run was begun; of a run that begins, only takes it down.

        Only where the program is another are the first losses computed again.

        Args:
          programs: the step's, one of them asked for.
          batches: the batches of this run from a data position and a step on.
          begun: the state that a run begins with.

        Raises:
          ValueError: if the first batches are others than those that the run was begun with.
        """
        if not self._stored:
            self._stored = {"step": self._start, "position": self._position, "first": [], "programs": []}
        program = programs.hash
        known, first = self._stored["programs"], self._stored["first"]
        # A run whose batch grows has a program for each size.
        new = program not in [one["program"] for one in known]
        if first:
            self._compare_data(first, batches)
        if new and known:
            self._say(f"fingerprint: {self._changed(known[-1], programs, batches, begun)}")
        elif known:
            self._say("fingerprint: the data and the program are as before")
        if new:
            known.append({"step": self._start, "program": program, "versions": versions()})
            self._write()

    def stepped(self, metrics: Mapping[str, jax.Array]) -> None:
        """Takes down one of the first steps of a run; the numbers are read later, when they are there."""
        if self._stored.get("step") == self._start and not self._stored["first"] and len(self._steps) < FIRST:
            self._steps.append({key: metrics[key] for key in _KEPT})

    def told(self, step: int, values: dict[str, float]) -> dict[str, float]:
        """The metrics of a step as they are. Says where they differ from those that were logged of it before."""
        if self._steps:
            self._stored["first"] = [{key: float(value) for key, value in one.items()} for one in self._steps]
            self._steps = []
            self._write()
        before = self._logged.pop(step, None)
        if before is not None:
            other = [f"{key} {before[key]!r} -> {values[key]!r}" for key in _KEPT if _differs(before[key], values[key])]
            if other:
                self._logged = {}
                self._say(f"fingerprint: step {step}, done again, differs from before: {', '.join(other)}")
        return values

    def _compare_data(
        self, first: list[dict[str, float]], batches: Callable[[int, int], Iterator[Batch]]
    ) -> None:
        read = itertools.islice(batches(self._stored["position"], self._stored["step"]), len(first))
        # One digest for each: two batches may be of two sizes.
        found = [float(jax.jit(batch_digest)(batch)) for batch in read]
        for number, (before, now) in enumerate(zip(first, found, strict=True), 1):
            if before["train/batch"] != now:
                raise ValueError(
                    f"batch {number} of this run is another than when it was begun (its digest is {now:.0f}, and was "
                    f"{before['train/batch']:.0f}): the data, or the code that reads it, changed; to go on all the "
                    f"same, remove {self._path}"
                )

    def _changed(
        self,
        known: dict[str, Any],
        programs: Programs,
        batches: Callable[[int, int], Iterator[Batch]],
        begun: Callable[[], TrainState],
    ) -> str:
        now, then = versions(), known["versions"]
        newer = ", ".join(f"{name} {then.get(name, '-')} -> {now[name]}" for name in now if then.get(name) != now[name])
        said = "the data is the same; the program changed" + (f" ({newer})" if newer else "")
        if not (first := self._stored["first"]):
            return said
        try:
            state, found = begun(), []
            for batch in itertools.islice(batches(self._stored["position"], self._stored["step"]), len(first)):
                state, metrics = programs.at(self._stored["step"] + len(found))(state, batch)
                found.append({key: float(metrics[key]) for key in _KEPT})
        except (jax.errors.JaxRuntimeError, OSError, ValueError) as error:
            # Two states at once may be more than the devices hold; what a run started from may be gone.
            return f"{said}, and the first steps cannot be repeated here ({str(error).split(':')[0]})"
        if not any(_differs(a[key], b[key]) for a, b in zip(first, found, strict=True) for key in _KEPT):
            return f"{said}, and gives the same first {len(first)} losses and gradient norms"
        apart = max(abs(b["train/loss"] / a["train/loss"] - 1) for a, b in zip(first, found, strict=True))
        return f"{said}, and its first {len(first)} losses are up to {apart:.1e} of themselves apart"

    def _write(self) -> None:
        if self._lead:
            atomic.write_text(self._path, json.dumps(self._stored, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Versions of the libraries that decide what a program and a batch are, where installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _differs(before: float, now: float) -> bool:
    return before != now and not (before != before and now != now)


def _read(path: epath.Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}; remove it to go on without") from None
    if not isinstance(stored, dict) or not {"step", "position", "first", "programs"} <= stored.keys():
        raise ValueError(f"{path} is no fingerprint; remove it to go on without")
    return stored
