"""What is told of a weight by its axes."""

from train.weights import Weight, is_matrix


def test_what_a_matrix_is() -> None:
    for axes in (("vocab", "embed"), ("layers", "embed", "mlp"), ("embed", "heads", "head_dim")):
        assert is_matrix(axes)
    for axes in (("embed",), ("layers", "embed"), ("layers", "head_dim"), ("layers",), ()):
        assert not is_matrix(axes)


def test_what_stacks_weights_and_what_is_decayed() -> None:
    experts = Weight(("up",), ("layers", "experts", "embed", "mlp"), (2, 3, 4, 5))
    router = Weight(("router",), ("layers", "embed", "experts"), (2, 4, 3))
    scale = Weight(("norm", "scale"), ("layers", "embed"), (2, 4))
    assert (experts.stacked, router.stacked, scale.stacked) == (2, 1, 1)
    assert (experts.decay_share, router.decay_share, scale.decay_share) == (1.0, 1.0, 0.0)
    assert Weight(("a",), ("embed",), (3,), decay=0.5).decay_share == 0.5
    assert scale.name == "norm/scale"


def test_the_sides_of_a_matrix() -> None:
    for axes, sides in [
        (("embed", "mlp"), ((0,), (1,))),
        (("layers", "embed", "heads", "head_dim"), ((1,), (2, 3))),
        (("layers", "heads", "head_dim", "embed"), ((1, 2), (3,))),
        (("rank", "kv_heads", "head_dim"), ((0,), (1, 2))),
        (("layers", "experts", "embed", "mlp"), ((2,), (3,))),
        (("layers", "embed", "experts"), ((1,), (2,))),
    ]:
        assert Weight(("a",), axes, (2,) * len(axes)).sides == sides
