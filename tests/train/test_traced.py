"""What leaves a part of a program out."""

import jax

from train.traced import absent


def test_only_a_plain_nought_is_absent() -> None:
    assert absent(0) and absent(0.0) and not absent(1e-9)
    jax.make_jaxpr(lambda x: 1 if absent(x) else x)(0.0)
    assert jax.make_jaxpr(lambda x: 1.0 if absent(x) else x + 1)(0.0).eqns
