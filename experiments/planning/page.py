"""A plan as one self-contained page."""

from experiments.planning.record import Record


def page(record: Record) -> str:
    """The page."""
    raise NotImplementedError
