"""BERT and RoBERTa with their masked-LM heads (Devlin 2018; Liu 2019)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from flax import nnx

from model.attention import Attention
from model.config import Embedding, TransformerConfig
from model.encoder import MaskedLM, MaskedLMConfig
from model.families.family import Family
from model.families.forms import Form, HeadsIn, HeadsOut, HeadVectors, Same, Transposed
from model.families.link import Link, link
from model.families.published import Published
from model.feedforward import MLP
from model.masks import Segments
from model.norms import LayerNorm
from model.parametrization import Standard
from model.positions import Learned
from model.precision import Precision
from model.residual import PostNorm

_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "relu": "relu", "silu": "silu"}
_PUBLISHED = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}


class Bert(Family):
    """Post-normalised encoder with learned positions, token types and biases everywhere."""

    name = "bert"
    architectures = ("BertForMaskedLM",)
    stem: ClassVar[str] = "bert"
    # Of their position table, rows that stand for no position.
    unused_positions: ClassVar[int] = 0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "bert-base-uncased": {
            "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "max_position_embeddings": 512,
        },
        "bert-large-uncased": {
            "vocab_size": 30522, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
            "intermediate_size": 4096, "max_position_embeddings": 512,
        },
    }  # fmt: skip

    def config(self, published: Published) -> MaskedLMConfig:
        """Reads a BertConfig."""
        get = published.get
        published.only("position_embedding_type", "absolute")
        published.only("is_decoder", False)
        published.only("add_cross_attention", False)
        published.only("tie_word_embeddings", True)
        activation = published.choice("hidden_act", _ACTIVATIONS, "gelu")
        norm = LayerNorm(get("layer_norm_eps", 1e-12), bias=True)
        length = get("max_position_embeddings", 512) - self.unused_positions
        encoder = TransformerConfig(
            layers=get("num_hidden_layers"),
            embed=get("hidden_size"),
            vocab=get("vocab_size"),
            attention=Attention(
                get("num_attention_heads"),
                mask=Segments(),
                positions=Learned(length, offset=self.unused_positions),
                bias=True,
                output_bias=True,
            ),
            feedforward=MLP(get("intermediate_size"), activation, bias=True),
            norm=norm,
            residual=PostNorm(),
            embedding=Embedding(norm=norm, types=get("type_vocab_size", 2)),
            parametrization=Standard(get("initializer_range", 0.02)),
            precision=Precision(compute="float32"),
        )
        return MaskedLMConfig(encoder, self.head_activation(activation), norm)

    def head_activation(self, activation: str) -> str:
        """That of the head's layer, by that of the blocks."""
        return activation

    def published(self, config: MaskedLMConfig) -> dict[str, Any]:
        """Writes a BertConfig."""
        spec = config.encoder
        attention, feedforward = spec.attention.at(0), spec.feedforward.at(0)
        return self.confirm(config, {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "num_hidden_layers": spec.layers,
            "hidden_size": spec.embed,
            "vocab_size": spec.vocab,
            "num_attention_heads": attention.heads,
            "intermediate_size": feedforward.hidden,
            "hidden_act": _PUBLISHED.get(feedforward.activation, feedforward.activation),
            "layer_norm_eps": spec.norm.eps,
            "max_position_embeddings": attention.positions.length + self.unused_positions,
            "type_vocab_size": spec.embedding.types,
            "initializer_range": spec.parametrization.std,
        })

    def build(self, config: MaskedLMConfig, rngs: nnx.Rngs) -> nnx.Module:
        """The encoder with its head."""
        return MaskedLM(config, rngs)

    def outer_links(self, config: MaskedLMConfig) -> Iterator[Link]:
        """Embeddings and head."""
        theirs = f"{self.stem}.embeddings"
        yield link("embedding", f"{theirs}.word_embeddings.weight")
        yield link("positions.0.table", f"{theirs}.position_embeddings.weight")
        yield link("types", f"{theirs}.token_type_embeddings.weight")
        yield from _pair("embedding_norm.scale", "embedding_norm.bias", f"{theirs}.LayerNorm")
        yield from self.head_links()

    def head_links(self) -> Iterator[Link]:
        """The head's layer, its norm, and the bias of the logits."""
        head = "cls.predictions"
        yield from _pair("head_weight", "head_bias", f"{head}.transform.dense", Transposed())
        yield from _pair("head_norm.scale", "head_norm.bias", f"{head}.transform.LayerNorm")
        yield link("logits_bias", f"{head}.bias")

    def block_links(self, config: MaskedLMConfig, block: int) -> Iterator[Link]:
        """Attention, its norm, feed-forward, its norm."""
        ours, theirs = f"blocks.{block}", f"{self.stem}.encoder.layer.{block}"
        heads = config.encoder.attention.at(block).heads
        own = f"{ours}.attention"
        for name in ("query", "key", "value"):
            yield from _pair(
                f"{own}.{name}", f"{own}.{name}_bias", f"{theirs}.attention.self.{name}", HeadsIn(heads),
                HeadVectors(heads),
            )  # fmt: skip
        yield from _pair(f"{own}.output", f"{own}.output_bias", f"{theirs}.attention.output.dense", HeadsOut(heads))
        yield from _pair(
            f"{ours}.norms.after0.scale", f"{ours}.norms.after0.bias", f"{theirs}.attention.output.LayerNorm"
        )
        for name, place in (("up", "intermediate"), ("down", "output")):
            layer = f"{ours}.feedforward.{name}"
            yield from _pair(layer, f"{layer}_bias", f"{theirs}.{place}.dense", Transposed())
        yield from _pair(f"{ours}.norms.after1.scale", f"{ours}.norms.after1.bias", f"{theirs}.output.LayerNorm")

    def surplus(self, config: MaskedLMConfig, name: str) -> bool:
        """Tied copies and position numbers; a pooler and a next-sentence head, which this model does not have."""
        return name in (
            f"{self.stem}.embeddings.position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias",
            "lm_head.decoder.weight", "lm_head.decoder.bias",
        ) or name.startswith((f"{self.stem}.pooler.", "cls.seq_relationship."))  # fmt: skip


class Roberta(Bert):
    """BERT with one token type, whose positions are counted from the second row after that of padding."""

    name = "roberta"
    architectures = ("RobertaForMaskedLM",)
    stem: ClassVar[str] = "roberta"
    unused_positions: ClassVar[int] = 2
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "roberta-base": {
            "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        },
        "roberta-large": {
            "vocab_size": 50265, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
            "intermediate_size": 4096, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        },
    }  # fmt: skip

    def config(self, published: Published) -> MaskedLMConfig:
        """Reads a RobertaConfig."""
        published.only("pad_token_id", 1)
        return super().config(published)

    def head_activation(self, activation: str) -> str:
        """RoBERTa's head has GELU whatever the blocks have."""
        return "gelu"

    def head_links(self) -> Iterator[Link]:
        """The head's layer, its norm, and the bias of the logits."""
        yield from _pair("head_weight", "head_bias", "lm_head.dense", Transposed())
        yield from _pair("head_norm.scale", "head_norm.bias", "lm_head.layer_norm")
        yield link("logits_bias", "lm_head.bias")


def _pair(weight: str, bias: str, theirs: str, form: Form = Same(), bias_form: Form = Same()) -> Iterator[Link]:
    yield link(weight, f"{theirs}.weight", form)
    yield link(bias, f"{theirs}.bias", bias_form)
