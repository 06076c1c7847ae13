"""A small decoder, written as a file that `--config` takes."""

import pytest

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
