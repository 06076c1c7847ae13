"""A search for the fastest way to lay an experiment out: ordered by closed forms, decided by the compiler."""

import collections
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from experiments.planning.candidates import Candidate, candidates, with_kernels
from experiments.planning.estimate import Traces, estimate
from experiments.planning.pace import pace
from experiments.planning.record import Request
from sharding.placement import Layout
from sharding.topology import Topology
from train.experiment import Experiment
from train.program import Programs
from train.state import TrainState

# What the closed form may be wrong by, before a candidate counts as too large.
_BENEFIT_OF_DOUBT = 1.05
# Candidates of which memory is worked out for each that is wanted.
_LOOKED_AT = 40
# Of the tries, those that go to kernels of the best.
_FOR_KERNELS = 3
# Of the config's own seconds, what a schedule may take and still be compiled: cycles may change the order by so much.
_WORTH_COMPILING = 1.02


@dataclasses.dataclass(frozen=True)
class Row:
    """A candidate that was compiled, or scheduled.

    Attributes:
      changes: each a `--set`; none for the config itself.
      found: what `Record.as_dict` gives; empty if nothing came of it.
      why: in a sentence, why nothing did.
    """

    changes: tuple[str, ...]
    found: dict[str, Any]
    why: str = ""

    @property
    def fits(self) -> bool:
        """Whether it can be run."""
        return bool(self.found and self.found["fits"] and self.found["speed"])

    @property
    def scheduled_only(self) -> bool:
        """Whether no machine code was written, so that seconds lack the compiler's cycles."""
        return bool(self.found and self.found["scheduled_only"])

    @property
    def seconds_per_token(self) -> float:
        """By which it is ranked: of a chip; none for what cannot be run."""
        return 1 / self.found["speed"]["tokens_per_second_per_chip"] if self.fits else float("inf")


class Compile(Protocol):
    """Compiles a config with changes, apart from this process, and tells of it."""

    def __call__(self, changes: Sequence[str], whole: bool) -> Row:
        """The row of these changes: of the compiled program, or of its schedule alone."""


def search(
    request: Request,
    experiment: Experiment,
    compile: Compile,
    *,
    tries: int,
    finalists: int,
    batches: bool = False,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Rows, best first; the config as it is written is always among them, compiled.

    Candidates are followed as far as their schedule, which takes seconds. Those that promise the most by it are
    compiled; they come before all others, since their seconds are not of a kind with those of a schedule.

    Args:
      request: config and topology.
      experiment: the config.
      compile: what a candidate is compiled by.
      tries: candidates to schedule besides the config.
      finalists: of these, how many are compiled at the most.
      batches: whether other sizes of the batch are tried.
      say: prints a line of progress.
    """
    rows: list[Row] = []

    def done(changes: Sequence[str], whole: bool) -> Row:
        rows.append(compile(changes, whole))
        say(line(len(rows), rows[-1]))
        return rows[-1]

    as_it_is = done((), False)
    for_kernels = min(_FOR_KERNELS, tries // 2)
    for candidate in promising(experiment, request.topology, tries - for_kernels, batches=batches, say=say):
        done(candidate.changes, False)
    best = min(rows, key=lambda row: row.seconds_per_token)
    for candidate in list(with_kernels(experiment, best.changes))[: tries + 1 - len(rows)] if best.fits else ():
        done(candidate.changes, False)
    worth = _WORTH_COMPILING * as_it_is.seconds_per_token
    better = [row for row in sorted(rows, key=_rank) if row.fits and row.changes and row.seconds_per_token <= worth]
    for changes in ((), *(row.changes for row in better[:finalists])):
        done(changes, True)
    # What was compiled stands for its schedule.
    whole = {row.changes for row in rows if not row.scheduled_only}
    return sorted((row for row in rows if not (row.scheduled_only and row.changes in whole)), key=_rank)


def _rank(row: Row) -> tuple[bool, bool, float]:
    return not row.fits, row.scheduled_only, row.seconds_per_token


def promising(
    experiment: Experiment,
    topology: Topology,
    wanted: int,
    *,
    batches: bool = False,
    say: Callable[[str], None] = print,
) -> list[Candidate]:
    """The fastest candidates by closed form, of those that fit by closed form.

    One of each placement and policy, and no more than half of one mesh: the closed form knows some meshes badly. Of the
    config's own placement are a third, as far as there are so many.
    """
    devices = topology.devices()
    traces, seen = Traces(), set()
    ordered = sorted(_paced(experiment, topology, devices, batches, traces), key=lambda paced: paced.seconds)
    say(f"{len(ordered)} candidates, ordered by closed form")
    found: dict[tuple[str, ...], Candidate] = {}
    meshes: collections.Counter[Any] = collections.Counter()
    own = [paced for paced in ordered if paced.candidate.experiment.placement == experiment.placement]
    looked_at = (*((paced, wanted // 3) for paced in own), *((paced, wanted) for paced in ordered))
    for (_, candidate, layout, state), most in looked_at[: len(own) + wanted * _LOOKED_AT]:
        if len(found) >= most:
            continue
        mesh = _mesh(layout)
        kind = (candidate.experiment.placement, candidate.experiment.model)
        again = kind in seen or candidate.changes in found
        if again or not candidate.changes or meshes[mesh] >= max(1, wanted // 2):
            continue
        peak = estimate(candidate.experiment, state, layout, traces).peak
        if peak > topology.usable_bytes * _BENEFIT_OF_DOUBT:
            continue
        if peak <= topology.usable_bytes:
            # One of which that is in doubt has more micro-batches behind it, in case that it is too large.
            seen.add(kind)
        meshes[mesh] += 1
        found[candidate.changes] = candidate
    return list(found.values())


class _Paced(NamedTuple):
    """A candidate with its seconds a row by closed form, and where it lies."""

    seconds: float
    candidate: Candidate
    layout: Layout
    state: TrainState


def _mesh(layout: Layout) -> tuple[tuple[str, int], ...]:
    return tuple((name, size) for name, size in layout.mesh.shape.items() if size > 1)


def _paced(
    experiment: Experiment, topology: Topology, devices: list[Any], batches: bool, traces: Traces
) -> Iterator[_Paced]:
    """Each candidate whose mesh the torus has."""
    known: dict[Any, Any] = {}
    for candidate in candidates(experiment, topology, len(devices), batches):
        placement = candidate.experiment.placement
        if placement not in known:
            known[placement] = None
            try:
                layout = placement.on(devices)
            except (ValueError, NotImplementedError):
                continue
            # What a model and its optimizer hold does not depend on what is computed again.
            known[placement] = (layout, Programs.of(candidate.experiment, layout).abstract)
        if known[placement] is None:
            continue
        layout, state = known[placement]
        found = pace(candidate.experiment, state, layout, topology, traces)
        yield _Paced(found.seconds / candidate.experiment.batch.batch, candidate, layout, state)


@dataclasses.dataclass(frozen=True)
class Apart:
    """Compiles in a process of its own, whose end, whatever its way, is a row.

    Attributes:
      request: config, topology, and changes that all candidates have.
      imports: each an `--import`.
    """

    request: Request
    imports: tuple[str, ...] = ()

    def __call__(self, changes: Sequence[str], whole: bool) -> Row:
        """The row of these changes: of the compiled program, or of its schedule alone."""
        topology = self.request.topology
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.json"
            command = [
                sys.executable, "-m", "sharding.plan", f"--config={self.request.config}",
                f"--topology={topology.name}", f"--slices={topology.slices}", f"--json={path}",
                *(() if whole else ("--schedule",)), *(f"--import={name}" for name in self.imports),
                *(f"--set={change}" for change in (*self.request.changes, *changes)),
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if path.is_file():
                return Row(tuple(changes), json.loads(path.read_text()))
        said = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
        return Row(tuple(changes), {}, said[-1].removeprefix("error: ") if said else f"ended by {done.returncode}")


def line(number: int, row: Row) -> str:
    """A line of progress."""
    name = " ".join(row.changes) or "the config as it is written"
    if not row.found:
        return f"{number}. {name}: {row.why}"
    took = row.found["effort"]["compile_seconds"] if row.found["effort"] else 0.0
    how = "scheduled" if row.scheduled_only else "compiled"
    if not row.fits:
        return f"{number}. {name}: does not fit ({how} in {took:.0f} s)"
    return f"{number}. {name}: {row.found['speed']['seconds']:.4f} s a step ({how} in {took:.0f} s)"
