"""Trip counts of loops: as CPU programs state them, and without that from their counters."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from sharding.program.loops import Trips, trips
from sharding.program.text import Module, parse

QUICK = {"xla_backend_optimization_level": 0}


def loops(module: Module) -> list[Trips]:
    return [
        trips(module, where, each)
        for where in module.computations.values() for each in where.instructions if each.opcode == "while"
    ]  # fmt: skip


def counted(text: str) -> list[int | None]:
    """Of a program's loops, told to nobody."""
    module = parse(re.sub(r'"known_trip_count":\{[^}]*\},?', "", text))
    assert all(found.how.startswith(("worked out", "its")) for found in loops(module))
    return sorted((found.count for found in loops(module)), key=lambda count: -1 if count is None else count)


def test_scans_in_scans() -> None:
    def inner(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jnp.sin(x @ x), None

    def outer(x: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        x = lax.scan(inner, x, length=5)[0]
        return x, x.sum()

    program = jax.jit(lambda x: lax.scan(outer, x, length=7)).lower(jnp.zeros((4, 4))).compile(QUICK)
    text = program.as_text()
    assert sorted(found.count for found in loops(parse(text))) == [5, 7]
    assert all(found.how == "stated by the compiler" for found in loops(parse(text)))
    assert counted(text) == [5, 7]


LOOP = """HloModule test, is_scheduled=true

%body (s: (s32[], s32[], f32[4])) -> (s32[], s32[], f32[4]) {{
  %s = (s32[], s32[], f32[4]) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %n = s32[] get-tuple-element(%s), index=1
  %x = f32[4] get-tuple-element(%s), index=2
  %step = s32[] constant({step})
  %next = s32[] {move}(%i, %step)
  %y = f32[4] sine(%x)
  ROOT %t = (s32[], s32[], f32[4]) tuple(%next, %n, %y)
}}

%condition (s: (s32[], s32[], f32[4])) -> pred[] {{
  %s = (s32[], s32[], f32[4]) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %n = s32[] get-tuple-element(%s), index=1
  ROOT %c = pred[] compare({sides}), direction={direction}
}}

ENTRY %main (x: f32[4]) -> (s32[], s32[], f32[4]) {{
  %x = f32[4] parameter(0)
  %first = s32[] constant({first})
  %bound = s32[] constant({bound})
  %copied = s32[] copy(%first)
  %t = (s32[], s32[], f32[4]) tuple(%copied, %bound, %x)
  ROOT %w = (s32[], s32[], f32[4]) while(%t), condition=%condition, body=%body
}}
"""
# As Python runs them.
HOLDS = {
    "LT": lambda i, n: i < n, "LE": lambda i, n: i <= n, "GT": lambda i, n: i > n, "GE": lambda i, n: i >= n,
    "NE": lambda i, n: i != n,
}  # fmt: skip
MIRRORED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "NE": "NE"}


@pytest.mark.parametrize("direction", HOLDS)
@pytest.mark.parametrize("step", [1, 3, -1, -2])
@pytest.mark.parametrize("mirrored", [False, True])
def test_counters_of_every_kind(direction: str, step: int, mirrored: bool) -> None:
    for first in (-3, 0, 5):
        for bound in (-4, 0, 5, 9):
            expected, i = 0, first
            while HOLDS[direction](i, bound) and expected < 100:
                expected, i = expected + 1, i + step
            text = LOOP.format(
                first=first, bound=bound, step=abs(step), move="add" if step > 0 else "subtract",
                sides="%n, %i" if mirrored else "%i, %n", direction=MIRRORED[direction] if mirrored else direction,
            )  # fmt: skip
            found = counted(text)
            assert found == [None if expected == 100 else expected], (first, bound)


FUSED = """HloModule test, is_scheduled=true

%moved (p0: s32[], p1: f32[4]) -> (s32[], f32[4]) {
  %p0 = s32[] parameter(0)
  %p1 = f32[4] parameter(1)
  %one = s32[] constant(1)
  %next = s32[] add(%one, %p0)
  %copied = s32[] copy(%next)
  ROOT %t = (s32[], f32[4]) tuple(%copied, %p1)
}

%compared (p0: s32[]) -> pred[] {
  %p0 = s32[] parameter(0)
  %most = s32[] constant(11)
  ROOT %c = pred[] compare(%p0, %most), direction=LT
}

%body (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[], f32[4]) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %x = f32[4] get-tuple-element(%s), index=1
  %f = (s32[], f32[4]) fusion(%i, %x), kind=kLoop, calls=%moved
  %next = s32[] get-tuple-element(%f), index=0
  %y = f32[4] get-tuple-element(%f), index=1
  ROOT %t = (s32[], f32[4]) tuple(%next, %y)
}

%condition (s: (s32[], f32[4])) -> pred[] {
  %s = (s32[], f32[4]) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  ROOT %c = pred[] fusion(%i), kind=kLoop, calls=%compared
}

ENTRY %main (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[], f32[4]) parameter(0)
  ROOT %w = (s32[], f32[4]) while(%s), condition=%condition, body=%body
}
"""


def test_counters_inside_fusions() -> None:
    """A start that is not known is taken to be 0, and said to be."""
    (found,) = loops(parse(FUSED))
    assert found == Trips(11, "worked out from its counter, taken to start at 0")


def test_a_loop_that_ends_by_its_data_is_not_guessed() -> None:
    def grows(x: jax.Array) -> jax.Array:
        return lax.while_loop(lambda x: x[0] < 100.0, lambda x: x * 2, x)

    text = jax.jit(grows).lower(jnp.ones(4)).compile(QUICK).as_text()
    assert counted(text) == [None]


def test_a_program_may_say_how_many_trips_it_expects() -> None:
    """Of the loop right in the scope, not of those within it."""

    def grows(x: jax.Array) -> jax.Array:
        def body(x: jax.Array) -> jax.Array:
            return x + lax.while_loop(lambda y: y[1] < x[0], lambda y: y * 2, x)

        with jax.named_scope("expects_4_trips"):
            return lax.while_loop(lambda x: x[0] < 100.0, body, x)

    found = loops(parse(jax.jit(grows).lower(jnp.ones(4)).compile(QUICK).as_text()))
    assert {each.count for each in found} == {4, None}
    assert "taken to be as many as the program expects" in {each.how for each in found}
