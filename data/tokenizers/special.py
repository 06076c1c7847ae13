"""Reserved tokens by name: ids that no text is encoded to, for objectives and prompts to put in."""

from collections.abc import Sequence


def sentinels(count: int) -> tuple[str, ...]:
    """The names of T5's span markers, `<extra_id_0>` and on (Raffel et al., 2020, arXiv:1910.10683).

    T5 itself has 100.

    Raises:
      ValueError: when `count` is negative.
    """
    if count < 0:
        raise ValueError(f"the number of sentinels is {count}, but must be 0 or more")
    return tuple(f"<extra_id_{number}>" for number in range(count))


def check_names(names: Sequence[str], where: str, taken: Sequence[str] = ()) -> None:
    """Raises ValueError unless the names are distinct, not empty, and none is in `taken`."""
    seen = set(taken)
    for name in names:
        if not name:
            raise ValueError(f"{where} has an empty name; give each token a name")
        if name in seen:
            raise ValueError(f"{where} has {name!r}, which names another token already")
        seen.add(name)
