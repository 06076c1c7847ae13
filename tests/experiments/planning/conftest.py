"""A small decoder, written as a file that `--config` takes; and plans without a compiler."""

from collections.abc import Callable

import pytest

from experiments.planning.estimate import Estimate
from experiments.planning.occupancy import Occupancy
from experiments.planning.record import Record, Request, Work
from experiments.planning.step import Effort
from sharding.program.report import Collective, Kind, ProgramCost, Roofline, Seconds
from sharding.topology import parse_topology

SOURCE = '''
"""A small decoder."""

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import GatedMLP
from model.kernels import Dense
from model.transformer import TransformerConfig
from sharding.placements import Combined
from train.experiment import Batches, Experiment
from train.optimizers import AdamW
from train.schedule import WarmupCosine


def experiment() -> Experiment:
    """The experiment."""
    return Experiment(
        model=TransformerConfig(
            layers=4,
            embed=512,
            vocab=8192,
            attention=Attention(heads=4, kv_heads=2, kernel=Dense()),
            feedforward=GatedMLP(hidden=1536),
            remat="full",
            tie_embeddings=False,
        ),
        data=Recipe(TextFiles("there_is_none.txt"), (), TailSplit(0.2), Bytes()),
        batch=Batches(sequence=256, batch=64),
        optimizer=AdamW(),
        schedule=WarmupCosine(peak=1e-3, warmup=1),
        steps=10,
        placement=Combined(),
    )
'''


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("configs") / "small.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.fixture
def topology_there() -> None:
    """Skips where libtpu gives no topology."""
    from data.console import UsageError
    from sharding.topology import parse_topology

    try:
        parse_topology("v5e:2x2").devices()
    except UsageError as error:
        pytest.skip(str(error))


GIB = 2**30
HOSTILE = "<script>alert(1)</script>"


def _plan(*changes: str, seconds: float = 2.0, peak: int = 9 * GIB, compiled: bool = True) -> Record:
    """A plan for a v5e:2x2 of a step that takes so long and so much."""
    topology = parse_topology("v5e:2x2")
    request = Request("small", changes, topology)
    work = Work({"data": 2, "fsdp": 2}, 64, 256, 2, 1000, 3e9, "full")
    estimate = Estimate(GIB, 0, GIB, 3 * GIB, GIB, 0, GIB, 0)
    if not compiled:
        return Record(request, work, None, estimate)
    occupancy = Occupancy(topology.usable_bytes, GIB, 2 * GIB, 0, 1, 6 * GIB, GIB // 4, peak)
    reduced = Collective(Kind.ALL_REDUCE, ("data",), 2, 4.0, 4.0, 2e9, 2e9, 0.1)
    cost = ProgramCost(
        topology.chip, 4, 16e12, 2e12, 1e12, 1e9, (reduced,), (), Seconds(matmul=seconds), Roofline(0.5, 1.0, 0.1),
        (HOSTILE,),
    )  # fmt: skip
    return Record(request, work, occupancy, estimate, cost, Effort(1.0, 2.0, GIB), {"xla_flag": True}, ("a note",))


@pytest.fixture
def plan() -> Callable[..., Record]:
    """Makes plans."""
    return _plan
