"""How large a study is: on a CPU, on one GPU, or as published."""

import dataclasses

from experiments.ablation.tuning import Tuning, Untuned
from train.experiment import Experiment

# What they stand for: at most 30 minutes on two cores; an hour on one card; the paper's model, data and steps.
NAMES = ("cpu", "gpu", "paper")


@dataclasses.dataclass(frozen=True)
class Scale:
    """A size of a study.

    Attributes:
      parent: what every arm is a change of.
      seeds: how many runs of each arm judge; one seed is the same data order in all arms.
      tuning: how hyper-parameters of each arm are found.
      topology: the TPU that `paper` is for, as `v5e:4x4`; empty elsewhere.
      note: what is smaller or other than in the paper, in a sentence.
      first_seed: of those that judge, which count up from it. A design that was chosen on some is judged on others.
    """

    parent: Experiment
    seeds: int = 5
    tuning: Tuning = Untuned()
    topology: str = ""
    note: str = ""
    first_seed: int = 0

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"Scale.seeds is {self.seeds}; a claim is judged by at least 1")
        if self.first_seed < 0:
            raise ValueError(f"Scale.first_seed is {self.first_seed}; it is 0 or more")
