"""Llama 2, 3, 3.1 and 3.2, Mistral, and what shares their layout (Touvron 2023; Dubey 2024; Jiang 2023)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import Embedding, Logits, TransformerConfig
from model.families.family import Family
from model.families.forms import HeadsIn, HeadsOut, HeadVectors, Transposed
from model.families.layer_types import published_window
from model.families.link import Link, link
from model.families.published import FamilyError, Published
from model.families.rope import published_rope, rope
from model.feedforward import FeedForwardPlan, GatedMLP
from model.masks import Causal, Mask, SlidingWindow
from model.mixing import MixingPlan
from model.norms import Norm, RMSNorm
from model.parametrization import Standard
from model.positions import Rope
from model.precision import Precision
from model.residual import PreNorm, Residual

# The names of a block's normalisations: ours, and theirs.
BlockNorms = tuple[tuple[str, str], ...]


def sizes(layers: int, embed: int, heads: int, kv_heads: int, hidden: int, vocab: int, **others: Any) -> dict[str, Any]:
    """The keys of a preset that say how large it is, and others."""
    return {
        "num_hidden_layers": layers, "hidden_size": embed, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": hidden, "vocab_size": vocab, **others,
    }  # fmt: skip


def _llama2(*shape: int) -> dict[str, Any]:
    return sizes(*shape, 32_000, max_position_embeddings=4096, rms_norm_eps=1e-5)


def _llama3(*shape: int, factor: float = 0.0, tied: bool = False) -> dict[str, Any]:
    values = sizes(*shape, 128_256, rope_theta=500_000.0, rms_norm_eps=1e-5, tie_word_embeddings=tied)
    scaling = {
        "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }  # fmt: skip
    longest = 131_072 if factor else 8192
    return values | {"max_position_embeddings": longest, "rope_scaling": scaling if factor else None}


def _mistral(vocab: int, **others: Any) -> dict[str, Any]:
    return sizes(32, 4096, 32, 8, 14_336, vocab, max_position_embeddings=32_768, rms_norm_eps=1e-5, **others)


class Llama(Family):
    """RMSNorm, rotary positions, grouped-query attention and SwiGLU.

    Families with the same layout of tensors are subclasses, which say where their spec differs.

    Attributes:
      residual: how layers join the stream.
      block_norms: names of a block's normalisations.
      tied: whether embeddings are tied where a config.json does not say.
      head_dim: features of a head where a config.json does not say; 0: embed / heads.
      eps: of the normalisations where a config.json does not say.
      activation: of the feed-forward layers.
      activation_key: the key of a config.json that names it.
      activation_names: what that key may say; the first is what is written.
    """

    name = "llama"
    architectures = ("LlamaForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Llama-2-7b": _llama2(32, 4096, 32, 32, 11_008),
        "Llama-2-13b": _llama2(40, 5120, 40, 40, 13_824),
        "Llama-2-70b": _llama2(80, 8192, 64, 8, 28_672),
        "Llama-3-8B": _llama3(32, 4096, 32, 8, 14_336),
        "Llama-3-70B": _llama3(80, 8192, 64, 8, 28_672),
        "Llama-3.1-8B": _llama3(32, 4096, 32, 8, 14_336, factor=8.0),
        "Llama-3.1-70B": _llama3(80, 8192, 64, 8, 28_672, factor=8.0),
        "Llama-3.1-405B": _llama3(126, 16_384, 128, 8, 53_248, factor=8.0),
        "Llama-3.2-1B": _llama3(16, 2048, 32, 8, 8192, factor=32.0, tied=True),
        "Llama-3.2-3B": _llama3(28, 3072, 24, 8, 8192, factor=32.0, tied=True),
    }
    residual: ClassVar[Residual] = PreNorm()
    block_norms: ClassVar[BlockNorms] = (("before0", "input_layernorm"), ("before1", "post_attention_layernorm"))
    tied: ClassVar[bool] = False
    head_dim: ClassVar[int] = 0
    eps: ClassVar[float] = 1e-6
    activation: ClassVar[str] = "silu"
    activation_key: ClassVar[str] = "hidden_act"
    activation_names: ClassVar[tuple[str, ...]] = ("silu",)

    def config(self, published: Published) -> TransformerConfig:
        """Reads a config in the words of LlamaConfig."""
        get = published.get
        published.only("pretraining_tp", 1)
        return TransformerConfig(
            layers=get("num_hidden_layers"),
            embed=get("hidden_size"),
            vocab=get("vocab_size"),
            attention=self.attention(published),
            feedforward=self.feedforward(published),
            norm=self.norm(published),
            residual=self.residual,
            tie_embeddings=bool(get("tie_word_embeddings", self.tied)),
            embedding=self.embedding(published),
            logits=self.logits(published),
            parametrization=Standard(get("initializer_range", 0.02)),
            precision=Precision(compute="float32"),
        )

    def attention(self, published: Published) -> MixingPlan:
        """The attention layers."""
        return self.attention_layer(published, self.mask(published), self.rope(published))

    def attention_layer(self, published: Published, mask: Mask, positions: Rope, **others: Any) -> Attention:
        """One attention layer, with fields of the family besides."""
        heads = published.get("num_attention_heads")
        bias, output_bias = self.biases(published)
        return Attention(
            heads=heads,
            kv_heads=published.get("num_key_value_heads", heads),
            head_dim=published.get("head_dim", self.head_dim or published.get("hidden_size") // heads),
            mask=mask,
            positions=positions,
            bias=bias,
            output_bias=output_bias,
            **others,
        )

    def mask(self, published: Published) -> Mask:
        """Who sees whom."""
        return Causal()

    def rope(self, published: Published, **reading: Any) -> Rope:
        """The rotary embedding, over whole heads: transformers turns no fraction in these models."""
        positions = rope(published, **reading)
        if positions.fraction != 1:
            raise FamilyError(
                f"{published.place} has partial_rotary_factor={positions.fraction}; {self.name} turns whole heads"
            )
        return positions

    def biases(self, published: Published) -> tuple[bool, bool]:
        """Whether queries, keys and values have biases; and whether the output has one."""
        return (bool(published.get("attention_bias", False)),) * 2

    def feedforward(self, published: Published) -> FeedForwardPlan:
        """The feed-forward layers."""
        published.only(self.activation_key, *self.activation_names)
        bias = bool(published.get("mlp_bias", False))
        return GatedMLP(published.get("intermediate_size"), self.activation, bias)

    def norm(self, published: Published) -> Norm:
        """The normalisation."""
        return RMSNorm(published.get("rms_norm_eps", self.eps))

    def embedding(self, published: Published) -> Embedding:
        """How tokens enter the stream."""
        return Embedding()

    def logits(self, published: Published) -> Logits:
        """How the stream becomes logits."""
        return Logits()

    def published(self, config: TransformerConfig) -> dict[str, Any]:
        """Writes a config in the words of LlamaConfig."""
        return self.confirm(config, self.keys(config))

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """The keys of a config.json, before a look whether they say everything."""
        attention = self.part(config.attention.at(0), Attention, "attention")
        norm = self.part(config.norm, RMSNorm, "norm")
        return {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "num_hidden_layers": config.layers,
            "hidden_size": config.embed,
            "vocab_size": config.vocab,
            "num_attention_heads": attention.heads,
            "num_key_value_heads": attention.key_heads,
            "head_dim": attention.features(config.embed),
            "attention_bias": attention.bias,
            "rms_norm_eps": norm.eps,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.parametrization.std,
            **self.feedforward_keys(config),
            **published_rope(attention.positions),
        }

    def feedforward_keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Those of the feed-forward layers."""
        layer = self.part(config.feedforward.at(0), GatedMLP, "feedforward")
        name = self.activation_names[0]
        return {"intermediate_size": layer.hidden, self.activation_key: name, "mlp_bias": layer.bias}

    def outer_links(self, config: TransformerConfig) -> Iterator[Link]:
        """Embedding, final norm, and unembedding unless tied."""
        yield link("embedding", "model.embed_tokens.weight")
        yield link("final_norm.scale", "model.norm.weight")
        if not config.tie_embeddings:
            yield link("unembedding", "lm_head.weight", Transposed())

    def block_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Norms, attention, feed-forward."""
        for ours, theirs in self.block_norms:
            yield link(f"blocks.{block}.norms.{ours}.scale", f"model.layers.{block}.{theirs}.weight")
        yield from self.attention_links(config, block)
        yield from self.feedforward_links(config, block)

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """The four projections and their biases."""
        spec: Attention = config.attention.at(block)
        ours, theirs = f"blocks.{block}.attention", f"model.layers.{block}.self_attn"
        for name, proj, heads in (
            ("query", "q_proj", spec.heads), ("key", "k_proj", spec.key_heads), ("value", "v_proj", spec.key_heads)
        ):
            yield link(f"{ours}.{name}", f"{theirs}.{proj}.weight", HeadsIn(heads))
            if spec.bias:
                yield link(f"{ours}.{name}_bias", f"{theirs}.{proj}.bias", HeadVectors(heads))
        yield link(f"{ours}.output", f"{theirs}.o_proj.weight", HeadsOut(spec.heads))
        if spec.output_bias:
            yield link(f"{ours}.output_bias", f"{theirs}.o_proj.bias")

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """The three matrices and their biases."""
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.mlp"
        for name in ("gate", "up", "down"):
            yield link(f"{ours}.{name}", f"{theirs}.{name}_proj.weight", Transposed())
            if config.feedforward.at(block).bias:
                yield link(f"{ours}.{name}_bias", f"{theirs}.{name}_proj.bias")

    def surplus(self, config: TransformerConfig, name: str) -> bool:
        """Old checkpoints hold the rotary frequencies; tied ones may hold the unembedding again."""
        return name.endswith("rotary_emb.inv_freq") or (config.tie_embeddings and name == "lm_head.weight")


class Mistral(Llama):
    """Llama with a sliding window."""

    name = "mistral"
    architectures = ("MistralForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Mistral-7B-v0.1": _mistral(32_000, rope_theta=10_000.0, sliding_window=4096),
        "Mistral-7B-v0.3": _mistral(32_768, rope_theta=1_000_000.0, sliding_window=None),
    }

    def mask(self, published: Published) -> Mask:
        """Causal, within the window if there is one."""
        window = published.nullable("sliding_window", 4096)
        return Causal() if window is None else Causal() & SlidingWindow(window)

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds the window."""
        return {**super().keys(config), "sliding_window": published_window(config)}
