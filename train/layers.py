"""Layers by number, where the weights of those that take the same place in a loop lie together."""

from collections.abc import Mapping


def layer_numbers(repeats: Mapping[int, int]) -> dict[int, list[int]]:
    """The layers of each place of a stack, in the order in which they lie.

    Args:
      repeats: how many layers lie at each place; a place has the number of its first layer.

    In a period of three local and one global block that repeats twice, place 1 holds layers 1 and 5.
    """
    found: dict[int, list[int]] = {}
    places = sorted(repeats)
    while places:
        times = repeats[places[0]]
        # A loop that turns more than once leaves a gap in the numbers after the places of its body.
        period = 1 if times == 1 else _consecutive(places)
        for place in places[:period]:
            found[place] = [place + turn * period for turn in range(times)]
        places = places[period:]
    return found


def layer_name(number: int) -> str:
    """A layer in the name of a metric, so that names sort as layers do."""
    return f"layer_{number:02d}"


def _consecutive(numbers: list[int]) -> int:
    return next((i for i, number in enumerate(numbers) if number != numbers[0] + i), len(numbers))
