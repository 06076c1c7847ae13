"""What figures of a compiled step are of: of another step, with other options, by another compiler, they are others."""

import dataclasses
from importlib import metadata

from data import identity
from data.spec import describe
from sharding.compiler_flags import Options
from train.experiment import Experiment

# What decides on the program of a step, rates and cadences aside.
_PARTS = ("model", "batch", "objective", "optimizer", "placement")


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What was compiled, how, and by what.

    Attributes:
      libtpu: version of the compiler.
      options: a hash of what it was asked for besides its defaults.
      step: a hash of what the training step is made of.
    """

    libtpu: str
    options: str
    step: str

    @classmethod
    def of(cls, experiment: Experiment, options: Options) -> "Provenance":
        """Of an experiment that is compiled here with these options."""
        return cls(compiler(), options_hash(options), step_hash(experiment))

    def holds(self, experiment: Experiment, options: Options) -> bool:
        """Whether these are the step of the experiment and the options, whatever the compiler."""
        return (self.step, self.options) == (step_hash(experiment), options_hash(options))


def compiler() -> str:
    """Version of the libtpu that is here; empty without one."""
    try:
        return metadata.version("libtpu")
    except metadata.PackageNotFoundError:
        return ""


def step_hash(experiment: Experiment) -> str:
    """Of what a training step is made of."""
    return identity.fingerprint([describe(getattr(experiment, part), locations=False) for part in _PARTS])[:16]


def options_hash(options: Options) -> str:
    """Of what the TPU compiler is asked for besides its defaults."""
    return identity.fingerprint(dict(options))[:16]
