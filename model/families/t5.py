"""T5, T5 v1.1 and Flan-T5 (Raffel 2019; Chung 2022)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from flax import nnx

from model.attention import Attention
from model.config import Logits, TransformerConfig
from model.cross_attention import CrossAttention
from model.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from model.families.family import Family
from model.families.forms import HeadsIn, HeadsOut, Transposed
from model.families.link import Link, link
from model.families.published import Published
from model.feedforward import MLP, FeedForward, GatedMLP
from model.masks import Causal, Segments
from model.norms import RMSNorm
from model.positions import T5Bias
from model.precision import Precision

_PROJECTIONS = {"relu": (MLP, "relu"), "gelu": (MLP, "gelu"), "gated-gelu": (GatedMLP, "gelu_tanh"),
                "gated-silu": (GatedMLP, "silu"), "gated-relu": (GatedMLP, "relu")}  # fmt: skip


def _sizes(embed: int, kv: int, hidden: int, layers: int, heads: int, gated: bool) -> dict[str, Any]:
    sizes = {
        "vocab_size": 32128, "d_model": embed, "d_kv": kv, "d_ff": hidden, "num_layers": layers,
        "num_decoder_layers": layers, "num_heads": heads, "n_positions": 512,
    }  # fmt: skip
    return sizes | ({"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if gated else {})


class T5(Family):
    """Pre-normalised encoder-decoder with relative biases shared by all layers, and logits that are not scaled."""

    name = "t5"
    architectures = ("T5ForConditionalGeneration",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "t5-small": _sizes(512, 64, 2048, 6, 8, gated=False),
        "t5-base": _sizes(768, 64, 3072, 12, 12, gated=False),
        "t5-large": _sizes(1024, 64, 4096, 24, 16, gated=False),
        "t5-3b": _sizes(1024, 128, 16384, 24, 32, gated=False),
        "t5-11b": _sizes(1024, 128, 65536, 24, 128, gated=False),
        "flan-t5-small": _sizes(512, 64, 1024, 8, 6, gated=True),
        "flan-t5-base": _sizes(768, 64, 2048, 12, 12, gated=True),
        "flan-t5-large": _sizes(1024, 64, 2816, 24, 16, gated=True),
        "flan-t5-xl": _sizes(2048, 64, 5120, 24, 32, gated=True),
        "flan-t5-xxl": _sizes(4096, 64, 10240, 24, 64, gated=True),
    }

    def config(self, published: Published) -> EncoderDecoderConfig:
        """Reads a T5Config."""
        get = published.get
        published.only("is_encoder_decoder", True)
        tied, embed = bool(get("tie_word_embeddings", True)), get("d_model")
        kind, activation = published.choice("feed_forward_proj", _PROJECTIONS, "relu")

        def attention(decoder: bool) -> Attention:
            bias = T5Bias(
                get("relative_attention_num_buckets", 32), get("relative_attention_max_distance", 128),
                bidirectional=not decoder,
            )  # fmt: skip
            mask = Causal() & Segments() if decoder else Segments()
            return Attention(get("num_heads"), head_dim=get("d_kv"), mask=mask, positions=bias, scale=1.0)

        def stack(layers: int, decoder: bool) -> TransformerConfig:
            return TransformerConfig(
                layers=layers,
                embed=embed,
                vocab=get("vocab_size"),
                attention=attention(decoder),
                feedforward=kind(get("d_ff"), activation),
                norm=RMSNorm(get("layer_norm_epsilon", 1e-6)),
                tie_embeddings=tied,
                logits=Logits(scale=embed**-0.5) if tied and decoder else Logits(),
                precision=Precision(compute="float32"),
            )

        layers = get("num_layers")
        return EncoderDecoderConfig(
            encoder=stack(layers, decoder=False),
            decoder=stack(get("num_decoder_layers", layers), decoder=True),
            cross=CrossAttention(get("num_heads"), head_dim=get("d_kv"), scale=1.0),
        )

    def published(self, config: EncoderDecoderConfig) -> dict[str, Any]:
        """Writes a T5Config."""
        decoder = config.decoder
        attention, feedforward = decoder.attention.at(0), decoder.feedforward.at(0)
        return self.confirm(config, {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "is_encoder_decoder": True,
            "vocab_size": decoder.vocab,
            "d_model": decoder.embed,
            "d_kv": attention.features(decoder.embed),
            "d_ff": feedforward.hidden,
            "num_layers": config.encoder.layers,
            "num_decoder_layers": decoder.layers,
            "num_heads": attention.heads,
            "relative_attention_num_buckets": attention.positions.buckets,
            "relative_attention_max_distance": attention.positions.max_distance,
            "feed_forward_proj": _projection(feedforward),
            "layer_norm_epsilon": decoder.norm.eps,
            "tie_word_embeddings": decoder.tie_embeddings,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
            "eos_token_id": 1,
        })

    def build(self, config: EncoderDecoderConfig, rngs: nnx.Rngs) -> nnx.Module:
        """The encoder-decoder."""
        return EncoderDecoder(config, rngs)

    def links(self, config: EncoderDecoderConfig) -> Iterator[Link]:
        """Embedding, both stacks, unembedding unless tied."""
        yield from self.outer_links(config)
        for block in range(config.encoder.layers):
            yield from self._stack_links(config.encoder, "encoder", block)
        for block in range(config.decoder.layers):
            yield from self.block_links(config, block)

    def outer_links(self, config: EncoderDecoderConfig) -> Iterator[Link]:
        """What both stacks share, and what each has once."""
        yield link("decoder.embedding", "shared.weight")
        for stack in ("encoder", "decoder"):
            bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            yield link(f"{stack}.positions.0.table", bias)
            yield link(f"{stack}.final_norm.scale", f"{stack}.final_layer_norm.weight")
        if not config.decoder.tie_embeddings:
            yield link("decoder.unembedding", "lm_head.weight", Transposed())

    def block_links(self, config: EncoderDecoderConfig, block: int) -> Iterator[Link]:
        """A block of the decoder."""
        yield from self._stack_links(config.decoder, "decoder", block)

    def _stack_links(self, config: TransformerConfig, stack: str, block: int) -> Iterator[Link]:
        ours, theirs = f"{stack}.blocks.{block}", f"{stack}.block.{block}.layer"
        heads = config.attention.at(block).heads
        layers = [("attention", "SelfAttention"), *([("cross", "EncDecAttention")] if stack == "decoder" else [])]
        for i, (name, kind) in enumerate(layers):
            for role, letter in (("query", "q"), ("key", "k"), ("value", "v")):
                yield link(f"{ours}.{name}.{role}", f"{theirs}.{i}.{kind}.{letter}.weight", HeadsIn(heads))
            yield link(f"{ours}.{name}.output", f"{theirs}.{i}.{kind}.o.weight", HeadsOut(heads))
            yield link(f"{ours}.norms.before{i}.scale", f"{theirs}.{i}.layer_norm.weight")
        last = len(layers)
        dense = f"{theirs}.{last}.DenseReluDense"
        if isinstance(config.feedforward.at(block), GatedMLP):
            yield link(f"{ours}.feedforward.gate", f"{dense}.wi_0.weight", Transposed())
            yield link(f"{ours}.feedforward.up", f"{dense}.wi_1.weight", Transposed())
        else:
            yield link(f"{ours}.feedforward.up", f"{dense}.wi.weight", Transposed())
        yield link(f"{ours}.feedforward.down", f"{dense}.wo.weight", Transposed())
        yield link(f"{ours}.norms.before{last}.scale", f"{theirs}.{last}.layer_norm.weight")

    def surplus(self, config: EncoderDecoderConfig, name: str) -> bool:
        """Copies of the shared embedding."""
        copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
        return name in copies or (config.decoder.tie_embeddings and name == "lm_head.weight")


def _projection(spec: FeedForward) -> str:
    known = {(kind, activation): name for name, (kind, activation) in _PROJECTIONS.items()}
    return known.get((type(spec), spec.activation), f"{type(spec).__name__} with {spec.activation}")
