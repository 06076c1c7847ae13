"""Going on with new data while some of the old is read again."""

from dataclasses import replace

from data.mixture.spec import Mixture, Part
from data.mixture.weights import Joining
from data.prepared import DataSpec

OLD, NEW = "old", "new"


def with_replay(old: DataSpec, new: DataSpec, share: float) -> Mixture:
    """New data, with old data in a share of the rows: for continual pre-training (Ibrahim 2024, arXiv:2403.08763).

    The parts are called `old` and `new`; if the old data is a mixture, its parts keep their names, and their
    proportions to each other. The old data is evaluated even where none of it is read.

    Args:
      old: what was learnt before.
      new: what is learnt now; tokenized as the old is (`SavedTokenizer`).
      share: of the rows, those of old data; at least 0 and below 1.

    Raises:
      ValueError: when the share is not, or a part of the old mixture is called `new`.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share that is replayed is {share}, but must be at least 0 and below 1")
    before = old if isinstance(old, Mixture) else Mixture((Part(OLD, old, 1.0),))
    # Twelve digits, so that 1 - 0.9 is 0.1.
    return replace(before, parts=(*before.parts, Part(NEW, new, Joining(0, round(1 - share, 12)))))
