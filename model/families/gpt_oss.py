"""gpt-oss (OpenAI 2025), in bfloat16 or float32: sinks, local and global attention in turn, experts with biases."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.forms import Alternating, Transposed
from model.families.layer_types import layer_types, planned
from model.families.link import Link, link
from model.families.llama import Llama
from model.families.published import Published
from model.families.rope import published_rope, rope
from model.feedforward import ClampedSwiGLU
from model.masks import Causal, SlidingWindow
from model.moe import MoE
from model.norms import RMSNorm
from model.precision import Precision
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
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpt-oss-20b": {**_SIZES, "num_hidden_layers": 24, "num_local_experts": 32},
        "gpt-oss-120b": {**_SIZES, "num_hidden_layers": 36, "num_local_experts": 128},
    }

    def config(self, published: Published) -> TransformerConfig:
        """Reads a GptOssConfig."""
        get = published.get
        published.only("hidden_act", "silu")
        published.only("quantization_config", {})
        bias, layers = bool(get("attention_bias", True)), get("num_hidden_layers")

        def attention(local: bool) -> Attention:
            return Attention(
                get("num_attention_heads"), get("num_key_value_heads"), get("head_dim"),
                mask=Causal() & SlidingWindow(get("sliding_window")) if local else Causal(),
                positions=rope(published), bias=bias, output_bias=bias, sinks=True,
            )  # fmt: skip

        alpha, limit = get("swiglu_alpha", 1.702), get("swiglu_limit", 7.0)
        expert = ClampedSwiGLU(get("intermediate_size"), bias=True, alpha=alpha, limit=limit)
        kinds = layer_types(published, layers, ("sliding_attention", "full_attention"))
        return TransformerConfig(
            layers=layers,
            embed=get("hidden_size"),
            vocab=get("vocab_size"),
            attention=planned(kinds, {"sliding_attention": attention(True), "full_attention": attention(False)}),
            feedforward=MoE(
                get("num_local_experts"), get("num_experts_per_tok"), expert, SoftmaxOfChosen()
            ),
            norm=RMSNorm(get("rms_norm_eps", 1e-5)),
            tie_embeddings=bool(get("tie_word_embeddings", False)),
            init_std=get("initializer_range", 0.02),
            precision=Precision(compute="float32"),
        )

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """The keys of a config.json."""
        attention, moe = config.attention.at(0), config.feedforward.at(0)
        reaches = [config.attention.at(i).mask.retention().latest for i in range(config.layers)]
        window = next((reach for reach in reaches if reach is not None), None)
        return {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "num_hidden_layers": config.layers,
            "hidden_size": config.embed,
            "vocab_size": config.vocab,
            "num_attention_heads": attention.heads,
            "num_key_value_heads": attention.key_heads,
            "head_dim": attention.features(config.embed),
            "layer_types": ["full_attention" if reach is None else "sliding_attention" for reach in reaches],
            "sliding_window": window,
            "attention_bias": attention.bias,
            "intermediate_size": moe.expert.hidden,
            "num_local_experts": moe.experts,
            "num_experts_per_tok": moe.top_k,
            "rms_norm_eps": config.norm.eps,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.init_std,
            "swiglu_alpha": moe.expert.alpha,
            "swiglu_limit": moe.expert.limit,
            **published_rope(attention.positions),
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
