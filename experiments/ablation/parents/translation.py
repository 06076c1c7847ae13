"""The Transformer as its paper trained it, to translate, and small ones of its kind."""

from collections.abc import Mapping
from typing import Any

from data.curation import WithField
from data.packing import Padded
from data.recipe import Recipe
from data.sources import InventedLanguage, Tfds
from data.split import HashSplit
from data.targets import Pairs
from data.tokenizers import Bytes, SentencePiece
from experiments.ablation.arm import NOTHING
from experiments.ablation.parents.decoders import AS_IT_COMES, changed
from model.attention import Attention
from model.config import Embedding, TransformerConfig
from model.cross_attention import CrossAttention
from model.encoder_decoder import EncoderDecoderConfig
from model.feedforward import MLP
from model.masks import Causal, Segments
from model.norms import LayerNorm
from model.parametrization import Glorot
from model.positions import Sinusoidal
from model.precision import Precision
from model.residual import PostNorm
from train.experiment import Batches, Cadence, Experiment
from train.objective import CrossEntropy
from train.optimizers import AdamW
from train.schedule import InverseSquareRoot

# Section 5.3 of the paper; it does not clip, and decays nothing.
ADAM = AdamW(b2=0.98, eps=1e-9, decay=0.0, clip=0.0)


def translator(layers: int, embed: int, heads: int, vocab: int, precision: Precision, dropout: float) -> Any:
    """An encoder and a decoder of so many blocks each, one table of embeddings for all (sections 3.1 to 3.5)."""

    def stack(attention: Attention) -> TransformerConfig:
        return TransformerConfig(
            layers=layers, embed=embed, vocab=vocab, attention=attention, norm=LayerNorm(bias=True),
            feedforward=MLP(4 * embed, "relu", bias=True), residual=PostNorm(), embedding=Embedding(embed**0.5),
            dropout=dropout, parametrization=Glorot(), precision=precision,
        )  # fmt: skip

    return EncoderDecoderConfig(
        encoder=stack(Attention(heads, mask=Segments(), positions=Sinusoidal())),
        decoder=stack(Attention(heads, mask=Causal(), positions=Sinusoidal())),
        cross=CrossAttention(heads),
    )


def small_translator(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `cpu`: 2 + 2 blocks of 64 on pairs of an invented language, a letter a word."""
    return changed(
        Experiment(
            model=translator(2, 64, 4, 257, Precision(compute="float32"), dropout=0.1),
            data=Recipe(InventedLanguage(1000), (), HashSplit(0.4), Bytes()),
            batch=Batches(sequence=40, batch=32, packing=Padded(), targets=Pairs(target=39), evaluation=100),
            optimizer=ADAM,
            schedule=InverseSquareRoot(peak=2e-3, warmup=100),
            steps=600,
            safety=AS_IT_COMES,
            cadence=Cadence(log=20, evaluate=100, checkpoint=600, keep=1),
        ),
        changes,
    )


def medium_translator(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `gpu`: 4 + 4 blocks of 256 on a part of WMT14."""
    return changed(
        transformer_base({
            "model": translator(4, 256, 8, 8192, Precision(), dropout=0.1),
            "data.source": Tfds("wmt14_translate/de-en", split="train[:5%]", text_field="en"),
            "data.tokenizer": SentencePiece(vocab=8192),
            "batch.batch": 256,
            "schedule": InverseSquareRoot(peak=1e-3, warmup=1000),
            "steps": 10_000,
            "cadence": Cadence(log=20, evaluate=1000, checkpoint=1000, keep=1),
        }),
        changes,
    )  # fmt: skip


def transformer_base(changes: Mapping[str, Any] = NOTHING) -> Experiment:
    """For `paper`: the base model on WMT14 English-German (Vaswani 2017, Table 3).

    A batch has about the 25,000 tokens of either language that it had there: sentences are of 27 or so, one a row.
    """
    return changed(
        Experiment(
            model=translator(6, 512, 8, 37_000, Precision(), dropout=0.1),
            data=Recipe(
                source=Tfds("wmt14_translate/de-en", split="train", text_field="en"),
                transforms=(WithField("de"),),
                split=HashSplit(0.001),
                tokenizer=SentencePiece(vocab=37_000),
            ),
            batch=Batches(sequence=128, batch=1024, packing=Padded(), targets=Pairs(target=127)),
            optimizer=ADAM,
            schedule=InverseSquareRoot(peak=(512 * 4000) ** -0.5, warmup=4000),
            steps=100_000,
            objective=CrossEntropy(label_smoothing=0.1),
            safety=AS_IT_COMES,
            cadence=Cadence(log=50, evaluate=2000, checkpoint=2000, keep=1),
        ),
        changes,
    )
