"""Schedules by simulation; which layers and rows make a pipeline, and what is refused."""

import dataclasses

import jax.numpy as jnp
import pytest

from model.attention import Attention
from model.config import TransformerConfig
from model.cross_attention import CrossAttention
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import MLP, GatedMLP, LeadingFeedForward
from model.masks import Full
from model.pipeline_schedule import Schedule, check_stages, schedule_of
from sharding.axes import active
from sharding.placements import Combined

DENSE = TransformerConfig(4, 8, 13, Attention(2), GatedMLP(12))
BOTH = EncoderDecoderConfig(
    dataclasses.replace(DENSE, layers=2, attention=Attention(2, mask=Full())), DENSE, CrossAttention(2)
)


@pytest.mark.parametrize(
    ("stages", "micro", "repeats"), [(2, 2, 1), (2, 6, 1), (4, 8, 1), (8, 16, 1), (2, 2, 2), (4, 8, 3), (3, 6, 2)]
)
def test_schedule_by_simulation(stages: int, micro: int, repeats: int) -> None:
    # Each stage does one thing a tick, what was made one before or earlier: of what there is, the micro-batches of the
    # earliest group, of these the earliest round.
    done: dict[tuple[int, int, int], int] = {}
    work = {(m, r, s) for m in range(micro) for r in range(repeats) for s in range(stages)}
    schedule, time = Schedule(stages, micro, repeats), 0
    while len(done) < len(work):
        for s in range(stages):
            left = []
            for m, r, at in work - done.keys():
                before = (m, r, s - 1) if s else (m, r - 1, stages - 1)
                if at == s and (before[1] < 0 or done.get(before, time) < time):
                    left.append((m // stages, r, m))
            turn = schedule.at(jnp.int32(time), jnp.int32(s))
            assert bool(turn.real) == bool(left)
            if left:
                _, r, m = min(left)
                assert (int(turn.micro), int(turn.part)) == (m, r)
                done[m, r, s] = time
        time += 1
    assert schedule.ticks == time
    assert schedule.bubble == pytest.approx(1 - micro * repeats / time)
    assert schedule.bubble == pytest.approx((stages - 1) / (micro * repeats + stages - 1))


def test_what_does_not_divide_is_no_pipeline() -> None:
    assert schedule_of(16, 4) is None
    with active(Combined(stage=2, micro=4).on()):
        assert schedule_of(16, 4) == Schedule(2, 4)
        assert schedule_of(8, 4) is None and schedule_of(16, 3) is None
    with active(Combined(stage=2, repeats=2).on()):
        # Two layers are one for each stage, and no two rounds.
        assert schedule_of(16, 4) == Schedule(2, 2, 2) and schedule_of(16, 2) == Schedule(2, 2, 1)


def test_layers_that_no_stages_can_share_are_refused() -> None:
    for stages in (1, 2, 4):
        check_stages(DENSE, stages)
    check_stages(DENSE, 2, 2)
    check_stages(dataclasses.replace(DENSE, feedforward=LeadingFeedForward(1, MLP(20), GatedMLP(12)), layers=5), 2)
    with pytest.raises(ValueError, match=r"placement.stage is 2 times placement.repeats 4, which .* multiple of 8"):
        check_stages(DENSE, 2, 4)
    with pytest.raises(ValueError, match=r"^model.layers is 4, computed in loops of 4 x 1 layers, and placement.stage"):
        check_stages(DENSE, 8)
    with pytest.raises(ValueError, match=r"model.encoder.layers is 2.* multiple of 4 layers works"):
        check_stages(BOTH, 4)
