"""Numbers of specs that may be traced: where several runs are one program, each has its own (`train.trials`)."""

from jaxtyping import Array

Rate, Count = float | Array, int | Array


def absent(number: Rate | Count) -> bool:
    """Whether it is a plain 0, which leaves out what it would weigh; a traced number of another run may be more."""
    return isinstance(number, int | float) and not number
