"""An experiment: everything that decides what a run does, in one value."""

import dataclasses
import math
from typing import Any

from data import mixture  # noqa: F401 - specs are found by name among those imported
from data.grouping import Grouping
from data.packing import Packing, Windows
from data.recipe import DataSpec
from data.spec import NOT_SHOWN
from data.targets import MaskedLM, NextToken, Targets
from data.training import Format
from model import encoder, encoder_decoder, head_exchange  # noqa: F401 - specs are found by name among those imported
from model.masks import sees_later
from model.pipeline_schedule import check_stages
from model.spec import ModelSpec
from sharding.placement import Placement
from sharding.placements import DataParallel
from train import (  # noqa: F401 - specs are found by name among those imported
    activations,
    domain_weights,
    doremi,
    energy,
    forgetting,
    group_losses,
    group_weights,
    multi_token,
    pretrained,
    rewarming,
    stable_decay,
    wandb_board,
)
from train.batch_growth import BatchGrowth, Steady
from train.hooks import Hook
from train.objective import CrossEntropy, Objective
from train.optimizers import Optimizer
from train.probes import noise_scale, norms  # noqa: F401 - specs are found by name among those imported
from train.retention import Keep
from train.safety import Safety
from train.schedule import Schedule
from train.start import Scratch, Start


@dataclasses.dataclass(frozen=True)
class Batches:
    """What one step reads.

    Attributes:
      sequence: tokens in a row.
      batch: rows in a step, over all devices and hosts.
      accumulate: micro-batches that a step is computed in.
      packing: how documents become rows; what keeps them apart serves masks with `Segments()`.
      targets: what is asked of a row.
      evaluation: rows in an evaluation batch; 0 means as many as in a step.
      longer: how many times longer than `sequence` rows are that are evaluated besides, for what a model makes of more
        context than it learnt from.
      groups: what groups tokens are told apart by, for objectives and probes that ask for it.
      growth: how many times `batch` rows a step reads, as the run goes on. Whatever counts steps of the data, as the
        weights of a mixture do, counts the smallest ones.
    """

    sequence: int
    batch: int
    accumulate: int = 1
    packing: Packing = Windows()
    targets: Targets = NextToken()
    evaluation: int = 0
    longer: tuple[int, ...] = ()
    groups: Grouping | None = None
    growth: BatchGrowth = Steady()

    def __post_init__(self) -> None:
        for field in ("sequence", "batch", "accumulate"):
            if getattr(self, field) < 1:
                raise ValueError(f"batch.{field} is {getattr(self, field)}; it is at least 1")
        if self.batch % self.accumulate:
            raise ValueError(f"batch.batch is {self.batch}, which batch.accumulate ({self.accumulate}) does not divide")
        for i, times in enumerate(self.longer):
            if times < 2 or times in self.longer[:i]:
                raise ValueError(f"batch.longer.{i} is {times}; it is 2 or more, and another than those before it")
        # Built here for the errors: targets may need more room than a row has.
        for form in self.evaluated.values():
            _ = form.fields

    @property
    def form(self) -> Format:
        """How rows are made."""
        return Format(self.packing, self.targets, self.sequence, self.groups)

    @property
    def evaluated(self) -> dict[str, Format]:
        """How rows are made that are evaluated, by what names of their metrics begin with."""
        form = self.form
        others = {f"eval/longer_{n}/": dataclasses.replace(form, sequence=n * self.sequence) for n in self.longer}
        return {"eval/": form, **others}

    def tokens(self, steps: int) -> int:
        """Tokens in the first `steps` steps."""
        return self.sequence * self.batch * self.growth.units(steps)

    @property
    def evaluation_rows(self) -> int:
        """Rows in an evaluation batch."""
        return self.evaluation or self.batch


@dataclasses.dataclass(frozen=True)
class Cadence:
    """How often things happen, in steps.

    Attributes:
      log: metrics are written.
      evaluate: the validation set is evaluated; also at the end.
      checkpoint: the state is saved; also at the end.
      keep: which checkpoints stay; a number stands for that many of the latest.
    """

    log: int = 10
    evaluate: int = 500
    checkpoint: int = 500
    keep: Keep | int = Keep()

    def __post_init__(self) -> None:
        for field in ("log", "evaluate", "checkpoint"):
            if getattr(self, field) < 1:
                raise ValueError(f"cadence.{field} is {getattr(self, field)}; it is at least 1")
        if isinstance(self.keep, int):
            object.__setattr__(self, "keep", Keep(latest=self.keep))

    def due(self, step: int, last: bool) -> tuple[bool, bool, bool]:
        """Whether metrics are written, the model is evaluated and the state is saved after a step."""
        evaluating, saving = (last or step % every == 0 for every in (self.evaluate, self.checkpoint))
        return evaluating or saving or step % self.log == 0, evaluating, saving


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
      model: what is computed.
      data: what it learns from.
      batch: what a step reads.
      optimizer: how gradients become updates.
      schedule: the learning rate.
      steps: how many steps.
      objective: what is minimised.
      placement: how it lies on devices.
      cadence: how often things are logged, evaluated and saved.
      hooks: what else happens, at evaluations and at the end.
      safety: what becomes of bad steps.
      seed: of weights, data order and dropout.
      start: where it begins: with fresh weights, or with those of another run.
      parent: the experiment it was derived from; not part of what it says, only of how it is told.
    """

    model: ModelSpec
    data: DataSpec
    batch: Batches
    optimizer: Optimizer
    schedule: Schedule
    steps: int
    objective: Objective = CrossEntropy()
    placement: Placement = DataParallel()
    cadence: Cadence = Cadence()
    hooks: tuple[Hook, ...] = ()
    safety: Safety = Safety()
    seed: int = 0
    start: Start = Scratch()
    parent: "Experiment | None" = dataclasses.field(default=None, metadata={NOT_SHOWN: True}, compare=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it is at least 1")
        # Built here for the errors: its phases may not fit in the run.
        self.schedule.over(self.steps)
        self._check_targets()
        sequence, longest = self.batch.sequence, self.model.longest
        for mixing in self.model.mixings:
            if sequence < (reach := mixing.mask.retention().size) < math.inf:
                raise ValueError(
                    f"model.attention.mask reaches {reach} tokens, more than batch.sequence ({sequence}); shorten it"
                )
        for field, times in (("sequence", 1), *(("sequence times batch.longer", times) for times in self.batch.longer)):
            if longest is not None and longest[0] < times * sequence:
                raise ValueError(
                    f"batch.{field} is {times * sequence}, more than model.attention.positions.length ({longest[0]})"
                )
        for part in (self.objective, self.start, *self.hooks):
            part.check(self)
        # What a -1 in the mesh stands for is known only with the devices; then this is asked again.
        fixed = math.prod(size for size in self.placement.mesh_shape().values() if size > 0)
        self.fits(fixed)

    @property
    def flops_per_token(self) -> float:
        """Model FLOPs to train on one token of a row; see `ModelSpec.flops_per_token`."""
        fields = self.batch.form.fields
        target = fields["inputs"].shape[0] if "source" in fields else 0
        return self.model.flops_per_token(self.batch.sequence, target)

    def _check_targets(self) -> None:
        """Raises ValueError if the model cannot read what the targets make."""
        kind, targets, fields = type(self.model).__name__, self.batch.targets, self.batch.form.fields
        for field in sorted(self.model.reads - fields.keys()):
            raise ValueError(
                f"batch.targets is {type(targets).__name__}, which gives no '{field}', and model is {kind}, which reads"
                " one; an encoder-decoder takes SpanCorruption or UL2 with layout=EncoderDecoder()"
            )
        if "source" in fields and "source" not in self.model.reads:
            raise ValueError(
                f"batch.targets is {type(targets).__name__} for an encoder-decoder, and model is {kind}; "
                "set layout=DecoderOnly() in the targets, or model to an EncoderDecoderConfig"
            )
        if isinstance(targets, MaskedLM) != self.model.both_ways:
            raise ValueError(
                f"batch.targets is {type(targets).__name__}, and model is {kind}; MaskedLM and MaskedLMConfig go with "
                "each other alone"
            )
        last = self.model.mixings[-1].mask
        if sees_later(last) != self.model.both_ways:
            wrong = "shows a place later tokens, its own target among them; join it to Causal() by &"
            blind = "hides later tokens, which MaskedLMConfig is to see; take Full()"
            said = blind if self.model.both_ways else wrong
            raise ValueError(f"model is {kind}, and its attention's mask {last} {said}")

    def fits(self, devices: int) -> None:
        """Raises ValueError if a batch, its rows or the layers cannot be divided on so many devices."""
        check_stages(self.model, self.placement.stages(devices), self.placement.pipeline(devices).repeats)
        self.divided_by(self.placement.batch_divisor(devices))
        self.shared_by(self.placement.sequence_divisor(devices))

    def divided_by(self, ways: int) -> None:
        """Raises ValueError if a micro-batch, or a batch of evaluation, cannot be split in `ways` ways."""
        rows = self.batch.batch // self.batch.accumulate
        if rows % ways:
            raise ValueError(
                f"batch.batch / batch.accumulate is {rows}, which the placement splits in {ways} ways; "
                f"the nearest that works is {max(ways, rows // ways * ways)}"
            )
        if self.batch.evaluation_rows % ways:
            raise ValueError(
                f"batch.evaluation is {self.batch.evaluation_rows}, which the placement splits in {ways} ways"
            )

    def shared_by(self, ways: int) -> None:
        """Raises ValueError if rows cannot be cut in `ways` equal parts."""
        for form in self.batch.evaluated.values():
            for name in ("inputs", "source"):
                if name in form.fields and (length := form.fields[name].shape[0]) % ways:
                    raise ValueError(
                        f"batch.sequence is {self.batch.sequence}, which makes rows of {length} {name}, and the "
                        f"placement cuts a row in {ways} parts; the nearest length that works is "
                        f"{max(ways, length // ways * ways)}"
                    )


def derive(parent: Experiment, **changes: Any) -> Experiment:
    """A child of `parent` with some fields replaced; a run of it tells how it differs."""
    return dataclasses.replace(parent, **changes, parent=parent)
