"""Which runs a study consists of, and which of them are due: a function of the results that are there."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

from experiments.ablation.address import address
from experiments.ablation.arm import Arm
from experiments.ablation.result import Failure, Result
from experiments.ablation.scale import Scale
from experiments.ablation.scores import Cells
from experiments.ablation.study import Study
from experiments.ablation.tuning import Answer, Request
from train.experiment import Experiment

# What came of runs, by address.
Done = Mapping[str, Result | Failure]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a study.

    Attributes:
      arm: the name of its arm.
      request: its setting, seed and length.
      experiment: what is run.
    """

    arm: str
    request: Request
    experiment: Experiment

    @functools.cached_property
    def address(self) -> str:
        """Under which its result is found; equal for runs that are the same, of whatever study."""
        return address(self.experiment)

    def __str__(self) -> str:
        setting = "".join(f", {key.rpartition('.')[2]} {value!r}" for key, value in self.request.setting)
        share = f", {self.request.share:.3g} of the steps" if self.request.share < 1 else ""
        return f"{self.arm}{setting}, seed {self.request.seed}{share}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The runs of a study at a scale.

    Attributes:
      study: the study.
      scale: how large.
      arms: those that are run; all of the study's, or some.
    """

    study: Study
    scale: Scale
    arms: tuple[Arm, ...]
    _trials: dict[tuple[str, Request], Trial] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def seeds(self) -> range:
        """Those that judge."""
        first = self.scale.first_seed
        return range(first, first + self.scale.seeds)

    def check(self) -> None:
        """Builds every experiment that may be asked for.

        Raises ValueError for one that cannot be, or if arms do not have in common what they must.
        """
        for arm in self.arms:
            for setting in self.scale.tuning.of(arm.name).settings():
                self._experiment(arm, Request.of(setting, 0))
        built = {arm.name: arm.experiment(self.scale.parent) for arm in self.arms}
        for match in self.study.matched:
            if set(match.arms) <= built.keys() and len(self.arms) == len(self.study.arms):
                match.check(built)

    def most(self) -> int:
        """Runs of the whole study; what arms share is counted for each."""
        return len(self.arms) * (self.scale.tuning.trials() + self.scale.tuning.judging(self.scale.seeds))

    def due(self, done: Done) -> list[Trial]:
        """Runs that are wanted now, each address once; none when the study is done."""
        wanted = [self._trial(arm, request) for arm in self.arms for request in self.answer(arm, done).due]
        # Arm by arm and seed by seed would leave the last arm without any for long: seeds go round all arms.
        order = sorted(range(len(wanted)), key=lambda i: (wanted[i].request.share, wanted[i].request.seed, i))
        return list({wanted[i].address: wanted[i] for i in order}.values())

    def answer(self, arm: Arm, done: Done) -> Answer:
        """What the tuning says of an arm."""
        known = {r: self._cost(done[self._trial(arm, r).address]) for r in self._asked(arm, done)}
        return self.scale.tuning.of(arm.name).answer(self.seeds, known)

    def cells(self, done: Done) -> Cells:
        """The results that arms are judged by: of a cell that lacks one, none."""
        found: dict[str, dict[int, Sequence[Result]]] = {}
        for arm in self.arms:
            found[arm.name] = {}
            for seed, requests in self.answer(arm, done).cells.items():
                cell = [(request, done.get(self._trial(arm, request).address)) for request in requests]
                whole = [
                    dataclasses.replace(outcome, setting=dict(request.setting))
                    for request, outcome in cell
                    if isinstance(outcome, Result)
                ]
                if len(whole) == len(cell):
                    found[arm.name][seed] = whole
        return found

    def trials(self, done: Done) -> list[Trial]:
        """The runs so far, of every arm, finished or failed."""
        return [self._trial(arm, request) for arm in self.arms for request in self._asked(arm, done)]

    def _asked(self, arm: Arm, done: Done) -> Iterator[Request]:
        """Those that the tuning asks for, as far as they are done: it is asked until it names nothing new that is."""
        known: dict[Request, float] = {}
        while True:
            answer = self.scale.tuning.of(arm.name).answer(self.seeds, known)
            new = [r for r in answer.due if r not in known and self._trial(arm, r).address in done]
            if not new:
                return
            for request in new:
                known[request] = self._cost(done[self._trial(arm, request).address])
                yield request

    def _cost(self, outcome: Result | Failure) -> float:
        metric = self.study.metric
        value = metric.one(outcome) if isinstance(outcome, Result) else None
        return float("inf") if value is None else metric.sign * value

    def _trial(self, arm: Arm, request: Request) -> Trial:
        key = (arm.name, request)
        if key not in self._trials:
            self._trials[key] = Trial(arm.name, request, self._experiment(arm, request))
        return self._trials[key]

    def _experiment(self, arm: Arm, request: Request) -> Experiment:
        made = arm.experiment(self.scale.parent, dict(request.setting), request.seed)
        if request.share == 1:
            return made
        steps = max(round(made.steps * request.share), 1)
        return dataclasses.replace(made, steps=steps)
