"""Whether runs at the scale of a paper fit the TPU that their study names: compiled for it, and kept as JSON."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from data import atomic
from experiments.ablation.study import Study
from experiments.planning import kept
from experiments.planning.provenance import Provenance
from train.experiment import Experiment

FITS = Path(__file__).resolve().parents[1] / "ablations" / "paper_scales.json"
_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Fit:
    """A run at the scale of a paper, on the TPU that the study names for it.

    Attributes:
      arm: of the study; the one with the most weights.
      topology: the TPU.
      weights: number of them.
      gib: of a device, of the whole step, as the compiler planned it.
      usable: GiB of a device that a program may have.
      seconds: simulated, of a step.
      mfu: the model's FLOPs over what the chips could do in that time.
      hours: simulated, of all steps.
      provenance: what was compiled, how, and by what.
    """

    arm: str
    topology: str
    weights: int
    gib: float
    usable: float
    seconds: float
    mfu: float
    hours: float
    provenance: Provenance


def largest(study: Study) -> tuple[str, Experiment]:
    """The arm of a study with the most weights at the paper's scale, the first of several, and its run.

    Where arms are tuned over sizes, the largest of them counts.
    """
    from train.state import Blueprint

    scale = study.scales["paper"]
    made = [(arm.name, arm.experiment(scale.parent)) for arm in study.arms]
    made += [
        (arm.name, arm.experiment(scale.parent, setting))
        for arm in study.arms
        for setting in scale.tuning.of(arm.name).settings()
    ]
    return max(made, key=lambda each: Blueprint(each[1].model).count())


def fitted(study: Study, say: Callable[[str], None] = print) -> Fit:
    """Compiles the training step of the largest arm for the TPU of the paper's scale.

    Raises ValueError if the study names no TPU, and UsageError where the two do not go together or it does not fit.
    """
    from data.console import UsageError
    from experiments.planning.planned import planned
    from experiments.planning.record import Request
    from sharding.topology import parse_topology

    name = study.scales["paper"].topology
    if not name:
        raise ValueError("scale 'paper' has no topology; name the TPU that it is for, as v5e:4x4")
    topology = parse_topology(name)
    arm, experiment = largest(study)
    record = planned(Request(f"arm '{arm}'", (), topology), experiment, say=say)
    if not record.fits or record.speed is None or record.occupancy is None:
        raise UsageError(f"arm '{arm}' does not fit {name}: {record.advice}")
    speed = record.speed
    return Fit(
        arm=arm, topology=name, weights=record.work.weights,
        gib=round(record.occupancy.used / _GIB, 2), usable=round(topology.usable_bytes / _GIB, 2),
        seconds=kept.rounded(speed.seconds), mfu=kept.rounded(speed.mfu),
        hours=float(f"{speed.seconds * experiment.steps / 3600:.3g}"),
        provenance=Provenance.of(experiment, record.options),
    )  # fmt: skip


def read(path: Path = FITS) -> dict[str, Fit]:
    """Name of a study -> its fit; none where there is no file."""
    return kept.read(path, Fit)


def write(fits: Mapping[str, Fit], path: Path = FITS) -> None:
    """Keeps fits, by name of the study."""
    atomic.write_text(path, kept.written(fits, sorted(fits)))


def table(fits: Mapping[str, Fit]) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    """Head and rows for the docs."""
    head = ("study", "arm", "weights", "TPU", "GiB a chip", "of", "step, s", "MFU", "hours of a run")
    rows = (
        (
            name, fit.arm, f"{fit.weights:,}", fit.topology, f"{fit.gib:.2f}", f"{fit.usable:.2f}",
            f"{fit.seconds:.4g}", f"{fit.mfu:.1%}", f"{fit.hours:,.3g}",
        )
        for name, fit in sorted(fits.items())
    )  # fmt: skip
    return head, rows
