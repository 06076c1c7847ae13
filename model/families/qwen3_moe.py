"""Qwen3-MoE: Qwen3 with a mixture of experts in some or all blocks (Yang 2025)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.config import TransformerConfig
from model.families.forms import Transposed
from model.families.link import Link, link
from model.families.llama import sizes
from model.families.mixtral import expert_links
from model.families.published import Published
from model.families.qwen import Qwen3
from model.feedforward import FeedForwardPlan, GatedMLP, InterleavedFeedForward
from model.moe import MoE
from model.router import Softmax

_COMMON = {
    "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": True, "head_dim": 128, "rms_norm_eps": 1e-6,
    "rope_theta": 1e6, "max_position_embeddings": 40_960, "use_sliding_window": False,
}  # fmt: skip


class Qwen3MoE(Qwen3):
    """Softmax over all experts, renormalised if the config says so; blocks that it lists are dense."""

    name = "qwen3_moe"
    architectures = ("Qwen3MoeForCausalLM",)
    head_dim = 0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Qwen3-30B-A3B": sizes(48, 2048, 32, 4, 6144, 151_936, moe_intermediate_size=768, **_COMMON),
        "Qwen3-235B-A22B": sizes(94, 4096, 64, 4, 12_288, 151_936, moe_intermediate_size=1536, **_COMMON),
    }

    def feedforward(self, published: Published) -> FeedForwardPlan:
        """Dense layers and experts, as `mlp_only_layers` and `decoder_sparse_step` say."""
        get, layers = published.get, published.get("num_hidden_layers")
        dense, step = super().feedforward(published), get("decoder_sparse_step", 1)
        moe = MoE(
            get("num_experts"), get("num_experts_per_tok"), GatedMLP(get("moe_intermediate_size")),
            Softmax(bool(get("norm_topk_prob", False))),
        )  # fmt: skip
        only = set(get("mlp_only_layers", []))
        kinds = [moe if i not in only and (i + 1) % step == 0 else dense for i in range(layers)]
        if len(set(kinds)) == 1:
            return kinds[0]
        return InterleavedFeedForward(tuple(kinds))

    def feedforward_keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Those of the experts, and which blocks have none."""
        layers = [config.feedforward.at(i) for i in range(config.layers)]
        dense = [i for i, layer in enumerate(layers) if not isinstance(layer, MoE)]
        moe = self.part(next((layer for layer in layers if isinstance(layer, MoE)), None), MoE, "feedforward")
        router = self.part(moe.router, Softmax, "feedforward.router")
        return {
            "intermediate_size": layers[dense[0]].hidden if dense else moe.expert.hidden,
            "hidden_act": "silu",
            "moe_intermediate_size": moe.expert.hidden,
            "num_experts": moe.experts,
            "num_experts_per_tok": moe.top_k,
            "norm_topk_prob": router.normalise,
            "decoder_sparse_step": 1,
            "mlp_only_layers": dense,
        }

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """A dense layer, or the router and each expert's three matrices."""
        layer = config.feedforward.at(block)
        if not isinstance(layer, MoE):
            yield from super().feedforward_links(config, block)
            return
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.mlp"
        yield link(f"{ours}.router.weight", f"{theirs}.gate.weight", Transposed())
        yield from expert_links(ours, theirs, layer.experts)
