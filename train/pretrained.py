"""Runs in two stages: a model learns one thing first, and then what the run is about."""

import dataclasses
from typing import TYPE_CHECKING

from data.identity import fingerprint
from data.packing import Packing, Windows
from data.prepared import DataSpec
from data.spec import describe
from data.targets import NextToken, Targets
from train.schedule import Schedule
from train.start import Begun, FromRun, Scratch, Site, Start

if TYPE_CHECKING:
    from train.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Pretrained(Start):
    """The weights of a run that is made before this one, of the same model, for other targets or on other data.

    It is made in the folder `pretraining` of the run's own, and goes on from its last checkpoint where it is stopped,
    as every run does. What is not named here it has from the experiment: model, optimizer, objective, rows of a
    batch, seed and placement. Hooks are left out. Both stages have one tokenizer.

    Attributes:
      data: what it learns from first.
      steps: how many steps of that.
      schedule: the learning rate of them.
      targets: what is asked of a row.
      packing: how documents become rows.
      sequence: tokens in a row; 0: as many as the experiment's.
    """

    data: DataSpec
    steps: int
    schedule: Schedule
    targets: Targets = NextToken()
    packing: Packing = Windows()
    sequence: int = 0

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError, telling that it is of the stage before, if that cannot be."""
        try:
            self.before(experiment)
        except ValueError as error:
            raise ValueError(f"start: in the stage before, {error}") from error

    def before(self, experiment: "Experiment") -> "Experiment":
        """The stage before an experiment."""
        batch = dataclasses.replace(
            experiment.batch, sequence=self.sequence or experiment.batch.sequence, packing=self.packing,
            targets=self.targets, longer=(), groups=None,
        )  # fmt: skip
        return dataclasses.replace(
            experiment, data=self.data, batch=batch, steps=self.steps, schedule=self.schedule, hooks=(),
            start=Scratch(), parent=None,
        )  # fmt: skip

    def begin(self, site: Site) -> Begun:
        """Step 0 with the weights after its last step.

        Raises ValueError if the data of the two stages have different tokenizers.
        """
        from train.corpus import prepare
        from train.loop import train
        from train.run_directory import RunDirectory

        before = self.before(site.experiment)
        run = RunDirectory(site.run.path / "pretraining")
        # Beside the experiment's own data, which runs may share.
        run.data = site.run.data.parent / f"{site.run.data.name}-{fingerprint(describe(self.data))[:12]}"
        there, here = prepare(before, run, site.say).tokenizer, site.prepared.tokenizer
        if there.hash != here.hash:
            raise ValueError(
                f"start: the stage before has the tokenizer {there.type} {there.hash[:12]}..., and this one "
                f"{here.type} {here.hash[:12]}...; take one that does not depend on the text, or TrainedOn(source)"
            )
        train(before, run, say=lambda line: site.say(f"pretraining: {line}"))
        return FromRun(str(run.path)).begin(site)
