"""gpt-oss (OpenAI 2025), in bfloat16 or float32: sinks, local and global attention in turn, experts with biases."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.config import TransformerConfig
from model.families.forms import Alternating, Transposed
from model.families.layer_types import (
    FULL,
    SLIDING,
    layer_types,
    planned,
    published_layer_types,
    published_window,
)
from model.families.link import Link, link
from model.families.llama import Llama
from model.families.published import Published
from model.feedforward import ClampedSwiGLU, FeedForwardPlan
from model.masks import Causal, SlidingWindow
from model.mixing import MixingPlan
from model.moe import MoE
from model.router import SoftmaxOfChosen

_YARN = {
    "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
    "original_max_position_embeddings": 4096,
}  # fmt: skip
_SIZES = {
    "vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880, "num_attention_heads": 64,
    "num_key_value_heads": 8, "head_dim": 64, "num_experts_per_tok": 4, "sliding_window": 128, "rms_norm_eps": 1e-5,
    "rope_theta": 150000.0, "rope_scaling": _YARN, "max_position_embeddings": 131072, "attention_bias": True,
}  # fmt: skip


class GptOss(Llama):
    """Learned sinks, clamped SwiGLU experts, a softmax over the chosen experts."""

    name = "gpt_oss"
    architectures = ("GptOssForCausalLM",)
    eps = 1e-5
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpt-oss-20b": {**_SIZES, "num_hidden_layers": 24, "num_local_experts": 32},
        "gpt-oss-120b": {**_SIZES, "num_hidden_layers": 36, "num_local_experts": 128},
    }

    def biases(self, published: Published) -> tuple[bool, bool]:
        """All or none."""
        return (bool(published.get("attention_bias", True)),) * 2

    def attention(self, published: Published) -> MixingPlan:
        """Windows and whole rows in turn, or as `layer_types` has it; all with sinks."""
        published.only("quantization_config", {})
        positions = self.rope(published)
        masks = {SLIDING: Causal() & SlidingWindow(published.get("sliding_window")), FULL: Causal()}
        kinds = layer_types(published, published.get("num_hidden_layers"), (SLIDING, FULL))
        layers = {kind: self.attention_layer(published, mask, positions, sinks=True) for kind, mask in masks.items()}
        return planned(kinds, layers)

    def feedforward(self, published: Published) -> FeedForwardPlan:
        """The experts."""
        get = published.get
        published.only("hidden_act", "silu")
        alpha, limit = get("swiglu_alpha", 1.702), get("swiglu_limit", 7.0)
        expert = ClampedSwiGLU(get("intermediate_size"), bias=True, alpha=alpha, limit=limit)
        return MoE(get("num_local_experts"), get("num_experts_per_tok"), expert, SoftmaxOfChosen())

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds the types of blocks and their window."""
        kinds, window = published_layer_types(config), published_window(config)
        return {**super().keys(config), "layer_types": kinds, "sliding_window": window}

    def feedforward_keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Those of the experts."""
        moe = self.part(config.feedforward.at(0), MoE, "feedforward")
        expert = self.part(moe.expert, ClampedSwiGLU, "feedforward.expert")
        return {
            "intermediate_size": expert.hidden,
            "hidden_act": "silu",
            "num_local_experts": moe.experts,
            "num_experts_per_tok": moe.top_k,
            "swiglu_alpha": expert.alpha,
            "swiglu_limit": expert.limit,
        }

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Llama's, and the sinks."""
        yield from super().attention_links(config, block)
        yield link(f"blocks.{block}.attention.sinks", f"model.layers.{block}.self_attn.sinks")

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """The router, and all experts in four tensors; gate and up alternate."""
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.mlp"
        yield link(f"{ours}.router.weight", f"{theirs}.router.weight", Transposed())
        yield link(f"{ours}.router.bias", f"{theirs}.router.bias")
        for tail, kind in (("", ""), ("_bias", "_bias")):
            yield Link(
                (f"{ours}.experts.gate{tail}", f"{ours}.experts.up{tail}"),
                (f"{theirs}.experts.gate_up_proj{kind}",),
                Alternating(2),
            )
            yield link(f"{ours}.experts.down{tail}", f"{theirs}.experts.down_proj{kind}")
