"""Checks of a spec's numbers name the field."""

import dataclasses

import pytest

from model.bounds import above, at_least


@dataclasses.dataclass(frozen=True)
class Spec:
    size: float = 2.0


def test_checks_name_the_field() -> None:
    at_least(Spec(), size=2)
    above(Spec(), size=1.5)
    with pytest.raises(ValueError, match="^Spec.size is 2.0; it is at least 3$"):
        at_least(Spec(), size=3)
    with pytest.raises(ValueError, match="^Spec.size is 2.0; it is above 2$"):
        above(Spec(), size=2)
    for check in (at_least, above):
        with pytest.raises(ValueError, match="Spec.size is nan"):
            check(Spec(float("nan")), size=0)
