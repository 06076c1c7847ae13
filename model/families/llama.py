"""Llama 2, 3, 3.1 and 3.2, Mistral, and what shares their layout (Touvron 2023; Dubey 2024; Jiang 2023)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.family import Family
from model.families.forms import HeadsIn, HeadsOut, HeadVectors, Transposed
from model.families.link import Link, link
from model.families.published import Published
from model.families.rope import published_rope, rope
from model.feedforward import GatedMLP
from model.masks import Causal, Mask, SlidingWindow
from model.norms import RMSNorm
from model.precision import Precision


class Llama(Family):
    """RMSNorm, rotary positions, grouped-query attention and SwiGLU."""

    name = "llama"
    architectures = ("LlamaForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def mask(self, published: Published) -> Mask:
        """Who sees whom."""
        return Causal()

    def config(self, published: Published) -> TransformerConfig:
        """Reads a LlamaConfig."""
        get = published.get
        published.only("hidden_act", "silu")
        published.only("pretraining_tp", 1)
        bias, heads = bool(get("attention_bias", False)), get("num_attention_heads")
        return TransformerConfig(
            layers=get("num_hidden_layers"),
            embed=get("hidden_size"),
            vocab=get("vocab_size"),
            attention=Attention(
                heads=heads,
                kv_heads=get("num_key_value_heads", heads),
                head_dim=get("head_dim", get("hidden_size") // heads),
                mask=self.mask(published),
                positions=rope(published),
                bias=bias,
                output_bias=bias,
            ),
            feedforward=GatedMLP(get("intermediate_size"), "silu", bias=bool(get("mlp_bias", False))),
            norm=RMSNorm(get("rms_norm_eps", 1e-6)),
            tie_embeddings=bool(get("tie_word_embeddings", False)),
            init_std=get("initializer_range", 0.02),
            precision=Precision(compute="float32"),
        )

    def published(self, config: TransformerConfig) -> dict[str, Any]:
        """Writes a LlamaConfig."""
        return self.confirm(config, self.keys(config))

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """The keys of a config.json, before a look whether they say everything."""
        attention, feedforward = config.attention.at(0), config.feedforward.at(0)
        return {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "num_hidden_layers": config.layers,
            "hidden_size": config.embed,
            "vocab_size": config.vocab,
            "num_attention_heads": attention.heads,
            "num_key_value_heads": attention.key_heads,
            "head_dim": attention.features(config.embed),
            "intermediate_size": feedforward.hidden,
            "hidden_act": "silu",
            "attention_bias": attention.bias,
            "mlp_bias": feedforward.bias,
            "rms_norm_eps": config.norm.eps,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.init_std,
            **published_rope(attention.positions),
        }

    def outer_links(self, config: TransformerConfig) -> Iterator[Link]:
        """Embedding, final norm, and unembedding unless tied."""
        yield link("embedding", "model.embed_tokens.weight")
        yield link("final_norm.scale", "model.norm.weight")
        if not config.tie_embeddings:
            yield link("unembedding", "lm_head.weight", Transposed())

    def block_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Norms, attention, feed-forward."""
        yield link(f"blocks.{block}.norms.before0.scale", f"model.layers.{block}.input_layernorm.weight")
        yield link(f"blocks.{block}.norms.before1.scale", f"model.layers.{block}.post_attention_layernorm.weight")
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

    def mask(self, published: Published) -> Mask:
        """Causal, within the window if there is one."""
        window = published.get("sliding_window", 0)
        return Causal() & SlidingWindow(window) if window else Causal()

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds the window."""
        held = config.attention.at(0).mask.retention()
        return {**super().keys(config), "sliding_window": held.latest}
