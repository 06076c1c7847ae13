"""Weights of domains that a run has found, in a file, and a mixture that draws by them."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace

from etils import epath

from data import atomic
from data.mixture.spec import Mixture

FILE = "domain_weights.json"
# More digits than the weights of a run are worth; with so few, a short block of steps comes near them.
_DIGITS = 4


def write_weights(path: epath.Path, weights: Mapping[str, float]) -> None:
    """Writes weights by the names of groups."""
    atomic.write_text(path, json.dumps({"weights": dict(weights)}, indent=1, ensure_ascii=False) + "\n")


def read_weights(path: str | os.PathLike[str]) -> dict[str, float]:
    """What `write_weights` wrote.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it holds no weights.
    """
    try:
        found = json.loads(epath.Path(path).read_text())["weights"]
        weights = {str(name): float(weight) for name, weight in found.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} holds no weights of domains: {error!r}") from None
    if not weights or not all(0 <= weight < float("inf") for weight in weights.values()):
        raise ValueError(f"{path} holds {weights}, but a weight is a number of at least 0, and there is at least one")
    return weights


def weighted_by(path: str | os.PathLike[str], mixture: Mixture) -> Mixture:
    """The mixture with its parts weighed by a file of weights, which have four digits here.

    The mean loss of a domain counts by its weight in training, so a part has that share of the tokens here, as of
    full rows. A weight that rounds to 0 leaves a part unread.

    Raises:
      FileNotFoundError: when there is no such file.
      ValueError: when it is not for the parts of the mixture.
    """
    weights = read_weights(path)
    names = [part.name for part in mixture.parts]
    if set(names) != set(weights):
        raise ValueError(
            f"{path} has weights for {', '.join(sorted(weights))}, but the parts of the mixture are {', '.join(names)}"
        )
    total = sum(weights.values())
    if not total:
        raise ValueError(f"{path} has no weight above 0")
    return replace(
        mixture, parts=tuple(replace(p, weight=round(weights[p.name] / total, _DIGITS)) for p in mixture.parts)
    )
