"""Mixtral: Mistral with a mixture of experts in every block (Jiang 2024)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.config import TransformerConfig
from model.families.forms import Stacked, Transposed
from model.families.link import Link, link
from model.families.llama import Mistral, sizes
from model.families.published import Published
from model.feedforward import FeedForwardPlan, GatedMLP
from model.masks import Causal, Mask, SlidingWindow
from model.moe import MoE
from model.router import Softmax

_COMMON = {"num_local_experts": 8, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5, "rope_theta": 1e6}


class Mixtral(Mistral):
    """Softmax over all experts, the best renormalised, nothing dropped."""

    name = "mixtral"
    architectures = ("MixtralForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Mixtral-8x7B": sizes(32, 4096, 32, 8, 14_336, 32_000, max_position_embeddings=32_768, **_COMMON),
        "Mixtral-8x22B": sizes(56, 6144, 48, 8, 16_384, 32_000, max_position_embeddings=65_536, **_COMMON),
    }

    def mask(self, published: Published) -> Mask:
        """Causal, within the window if there is one."""
        window = published.get("sliding_window", 0)
        return Causal() & SlidingWindow(window) if window else Causal()

    def feedforward(self, published: Published) -> FeedForwardPlan:
        """The experts."""
        expert = super().feedforward(published)
        return MoE(published.get("num_local_experts"), published.get("num_experts_per_tok"), expert, Softmax())

    def feedforward_keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Those of the experts."""
        layer = self.part(config.feedforward.at(0), MoE, "feedforward")
        expert = self.part(layer.expert, GatedMLP, "feedforward.expert")
        return {
            "intermediate_size": expert.hidden, "hidden_act": "silu", "num_local_experts": layer.experts,
            "num_experts_per_tok": layer.top_k,
        }  # fmt: skip

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """The router, and each expert's three matrices."""
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.block_sparse_moe"
        yield link(f"{ours}.router.weight", f"{theirs}.gate.weight", Transposed())
        yield from expert_links(ours, theirs, config.feedforward.at(block).experts, ("w1", "w3", "w2"))


def expert_links(
    ours: str, theirs: str, experts: int, names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
) -> Iterator[Link]:
    """Links of experts that have their matrices one by one; `names` are those of gate, up and down."""
    for role, name in zip(("gate", "up", "down"), names, strict=True):
        each = tuple(f"{theirs}.experts.{expert}.{name}.weight" for expert in range(experts))
        yield Link((f"{ours}.experts.{role}",), each, Stacked(Transposed()))
