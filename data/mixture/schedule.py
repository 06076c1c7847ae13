"""From weights to a timeline: where stages begin, when parts join and when they are used up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from data.mixture.blocks import LONGEST, block
from data.mixture.weights import BySize, Joining, Weight
from data.timeline import Stage, Timeline


@dataclass(frozen=True)
class Candidate:
    """A part as the schedule sees it.

    Attributes:
      name: for messages.
      weight: how much of it is wanted.
      size: what `BySize` weighs it by.
      limit: how many rows of it may be read; None if any number.
    """

    name: str
    weight: Weight
    size: Fraction
    limit: int | None = None


def schedule(parts: Sequence[Candidate], batch: int, steps: int) -> Timeline:
    """The timeline of a mixture.

    What it says of a step depends on nothing that changes later, nor on how long the run is.

    Args:
      parts: in the order they were listed; one that is added later comes last.
      batch: rows in a step.
      steps: the steps of the run. The last stage goes on after them.

    Raises:
      ValueError: when no part has a weight at some step, one joins within a block or has less than a row in
        the longest one, or all are used up before the last step.
    """
    changes = {change for part in parts for change in part.weight.changes() if change < steps}
    stages: list[Stage] = []
    read, used_up = [0] * len(parts), set[int]()
    at, longest = 0, LONGEST
    stated = not any(isinstance(part.weight, BySize) for part in parts)
    while at < steps or not stages:
        shares = _shares(parts, at, used_up)
        length, rows = block(shares, batch, longest, stated)
        if longest == LONGEST:
            _check_rows(parts, shares, rows, length, batch)
        change = min((step for step in changes if step > at), default=None)
        # The last block may go past the end.
        fitting = -((at - steps) // length) if change is None else (change - at) // length
        allowed, scarce = _allowed(parts, read, rows)
        if blocks := min(fitting, allowed):
            stages.append(Stage(at, length, rows))
            at += int(blocks) * length
            read = [count + int(blocks) * row for count, row in zip(read, rows, strict=True)]
            longest = LONGEST
        elif allowed == 0 and length > 1:
            # Less than a block is left of one part; a shorter block may still fit.
            longest = length // 2
        elif allowed == 0:
            used_up.add(scarce)
            longest = LONGEST
        else:
            assert change is not None
            _check_joining(parts, change, at, length)
            longest = change - at
    return Timeline(batch, stages)


def _allowed(parts: Sequence[Candidate], read: Sequence[int], rows: Sequence[int]) -> tuple[int | float, int]:
    """How many blocks may be read until a part is used up, and which part that is."""
    left = [
        ((part.limit - done) // row, index)
        for index, (part, done, row) in enumerate(zip(parts, read, rows, strict=True))
        if part.limit is not None and row
    ]
    return min(left, default=(math.inf, -1))


def _shares(parts: Sequence[Candidate], step: int, used_up: set[int]) -> list[Fraction]:
    """Which part of the rows of a step is due to each part; their sum is 1."""
    shares = [Fraction(0) if isinstance(p.weight, Joining) else p.weight.at(step, p.size) for p in parts]
    if total := sum(shares):
        shares = [share / total for share in shares]
    joined = {i: p.weight for i, p in enumerate(parts) if isinstance(p.weight, Joining) and p.weight.at_step <= step}
    for begin in sorted({weight.at_step for weight in joined.values()}):
        new = {i: weight.at(step, parts[i].size) for i, weight in joined.items() if weight.at_step == begin}
        if (taken := sum(new.values())) > 1:
            names = " and ".join(f"'{parts[i].name}'" for i in new)
            raise ValueError(
                f"{names} join at step {begin} with more than all rows: their shares sum to {float(taken)}"
            )
        shares = [new.get(i, share * (1 - taken)) for i, share in enumerate(shares)]
    shares = [Fraction(0) if i in used_up else share for i, share in enumerate(shares)]
    total = sum(shares)
    if not total and used_up:
        raise ValueError(
            f"at step {step} every part of the mixture has been read as often as its max_epochs allows, and the run"
            " goes on; raise max_epochs, add a part, or train for fewer steps"
        )
    if not total:
        raise ValueError(f"no part of the mixture has a weight above 0 at step {step}")
    return [share / total for share in shares]


def _check_rows(
    parts: Sequence[Candidate], shares: Sequence[Fraction], rows: Sequence[int], length: int, batch: int
) -> None:
    for part, share, row in zip(parts, shares, rows, strict=True):
        if share and not row:
            raise ValueError(
                f"'{part.name}' has {float(share):.2g} of the mixture, less than a row in {length} steps of {batch}"
                f" rows; raise its weight or the batch, or leave it out"
            )


def _check_joining(parts: Sequence[Candidate], step: int, at: int, length: int) -> None:
    for part in parts:
        if isinstance(part.weight, Joining) and part.weight.at_step == step:
            raise ValueError(
                f"'{part.name}' joins at step {step}, but until then rows take turns in blocks of {length} steps,"
                f" and one must end there; the nearest steps are {at} and {at + length}"
            )
