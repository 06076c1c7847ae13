"""What is said where a config and a topology do not go together."""

import pytest

from data.console import UsageError
from experiments.planning.mismatch import divided, nearest_multiple
from sharding.topology import parse_topology
from train.load import load_experiment

pytestmark = pytest.mark.usefixtures("topology_there")


@pytest.mark.parametrize(
    ("changes", "topology", "said"),
    [
        ((), "v5e:8x16", "batch.batch is 64, which v5e:8x16 divides in 128 ways; "
                         "the nearest that works is --set batch.batch=128"),
        (("batch.batch=100", "batch.accumulate=5"), "v5e:2x4",
         "batch.batch is 100, which v5e:2x4 divides in 8 ways and batch.accumulate in 5; "
         "the nearest that works is --set batch.batch=120"),
        (("batch.evaluation=12",), "v5e:2x4", "the nearest that works is --set batch.evaluation=16"),
        (("placement=Combined(fsdp=8)",), "v5e:2x2", "mesh fsdp 8 does not fit 4 devices"),
    ],
)  # fmt: skip
def test_one_sentence_with_the_nearest(config: str, changes: tuple[str, ...], topology: str, said: str) -> None:
    _, experiment = load_experiment(config, [c for c in changes if "evaluation=12" not in c])
    if "batch.evaluation=12" in changes:
        import dataclasses

        experiment = dataclasses.replace(experiment, batch=dataclasses.replace(experiment.batch, evaluation=12))
    with pytest.raises(UsageError) as refused:
        divided(experiment, parse_topology(topology))
    assert said in str(refused.value)


def test_what_divides_has_a_layout(config: str) -> None:
    _, experiment = load_experiment(config)
    assert divided(experiment, parse_topology("v5e:4x4")).mesh.shape == {"fsdp": 16}


def test_nearest_multiples() -> None:
    assert [nearest_multiple(n, 8) for n in (1, 8, 11, 12, 13, 100)] == [8, 8, 8, 16, 16, 104]
