"""A Llama of 12 x 768 (190M weights, 113M of them in blocks), the smallest of the shapes compared in docs/tpu.md.

Context 1,024 and sixteen rows a chip on a v5e-16, data-parallel: sharding the weights of so small a model over 16 chips
would cost more time in transfers than it saves in memory. One half of the rows goes after the other, which takes less
memory and is no slower.

    python -m train --config=llama_125m --run=gs://BUCKET/run --distributed --set data.source.data_dir=gs://BUCKET/tfds
"""

from experiments.pretraining import pretraining
from model.attention import Attention
from model.feedforward import GatedMLP
from model.transformer import TransformerConfig
from sharding.placements import DataParallel
from train.experiment import Batches, Experiment


def experiment() -> Experiment:
    """The experiment."""
    model = TransformerConfig(
        layers=12,
        embed=768,
        vocab=50_304,
        attention=Attention(heads=12),
        feedforward=GatedMLP(hidden=3072),
        tie_embeddings=False,
        remat="save_products",
    )
    return pretraining(model, 50_257, Batches(sequence=1024, batch=256, accumulate=2), DataParallel(), peak=6e-4)
