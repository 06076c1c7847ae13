"""What is kept of long curves."""

from experiments.ablation.result import thinned


def test_the_ends_of_a_curve_stay() -> None:
    points = [(step, float(step)) for step in range(1, 401)]
    kept = thinned(points)
    assert kept[0] == points[0] and kept[-1] == points[-1] and len(kept) == 200
    assert [after - before for (before, _), (after, _) in zip(kept[1:], kept[2:], strict=False)] == [2] * 198
    assert thinned(points[:200]) == points[:200]
