"""What a checkpoint says of the run that it is of, so that it can be opened wherever it was copied to."""

import json
from typing import Any

from etils import epath

from data.spec import build, describe
from train.experiment import Experiment
from train.formats import FORMAT, NOTE


def about(experiment: Experiment) -> dict[str, Any]:
    """What a checkpoint says of its run: the config, and what randomness is made of."""
    return {
        "config": describe(experiment),
        "random": {"seed": experiment.seed, "step": "fold_in(key(seed), step)", "data": "(seed, position)"},
    }


def experiment_of(checkpoint: epath.PathLike) -> Experiment:
    """The experiment that a checkpoint is of, wherever it was copied to: the directory named by the step.

    Raises ValueError if it does not say, or there is none.
    """
    path = epath.Path(checkpoint) / NOTE / "metadata"
    try:
        return build(json.loads(path.read_text())["config"], Experiment)
    except FileNotFoundError:
        raise ValueError(f"{checkpoint} is no checkpoint: it has no {NOTE}/metadata") from None
    except KeyError:
        raise ValueError(f"{checkpoint} is of a format before {FORMAT}, which holds no config") from None
