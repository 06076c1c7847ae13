"""Every part of the layers comes to the stage and the round that compute it, each stage sending one at a time."""

import pytest

from model.dealing import deals


@pytest.mark.parametrize(("stages", "repeats"), [(2, 1), (2, 2), (4, 2), (3, 2), (4, 6), (6, 4), (8, 8), (8, 3)])
def test_parts_come_to_where_they_are_computed(stages: int, repeats: int) -> None:
    came = {}
    for deal in deals(stages, repeats):
        assert sorted(here for here, _ in deal.pairs) == sorted(to for _, to in deal.pairs) == list(range(stages))
        for here, to in deal.pairs:
            came[to, deal.got[to]] = here * repeats + deal.sent[here]
    assert came == {(part % stages, part // stages): part for part in range(stages * repeats)}
