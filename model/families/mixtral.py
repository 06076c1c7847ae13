"""Mixtral: Mistral with a mixture of experts in every block (Jiang 2024)."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.config import TransformerConfig
from model.families.forms import Stacked, Transposed
from model.families.link import Link, link
from model.families.llama import Mistral
from model.families.published import Published
from model.moe import MoE
from model.router import Softmax

_ROLES = (("gate", "w1"), ("up", "w3"), ("down", "w2"))


class Mixtral(Mistral):
    """Softmax over all experts, the best renormalised, nothing dropped."""

    name = "mixtral"
    architectures = ("MixtralForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Mixtral-8x7B-v0.1": {
            "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e6,
            "num_local_experts": 8, "num_experts_per_tok": 2, "max_position_embeddings": 32768,
        },
        "Mixtral-8x22B-v0.1": {
            "vocab_size": 32000, "hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 56,
            "num_attention_heads": 48, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e6,
            "num_local_experts": 8, "num_experts_per_tok": 2, "max_position_embeddings": 65536,
        },
    }  # fmt: skip

    def config(self, published: Published) -> TransformerConfig:
        """Reads a MixtralConfig."""
        config = super().config(published)
        experts, top_k = published.get("num_local_experts"), published.get("num_experts_per_tok")
        return dataclasses.replace(config, feedforward=MoE(experts, top_k, config.feedforward.at(0), Softmax()))

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Adds the experts."""
        moe = config.feedforward.at(0)
        dense = dataclasses.replace(config, feedforward=moe.expert if isinstance(moe, MoE) else moe)
        counts = {"num_local_experts": moe.experts, "num_experts_per_tok": moe.top_k} if isinstance(moe, MoE) else {}
        return {**super().keys(dense), **counts}

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """The router, and each expert's three matrices."""
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.block_sparse_moe"
        yield link(f"{ours}.router.weight", f"{theirs}.gate.weight", Transposed())
        for role, name in _ROLES:
            experts = range(config.feedforward.at(block).experts)
            names = tuple(f"{theirs}.experts.{expert}.{name}.weight" for expert in experts)
            yield Link((f"{ours}.experts.{role}",), names, Stacked(Transposed()))


def expert_links(ours: str, theirs: str, experts: int) -> Iterator[Link]:
    """Links of experts whose matrices are called as those of a dense layer (Qwen3-MoE, DeepSeek)."""
    for role in ("gate", "up", "down"):
        names = tuple(f"{theirs}.experts.{expert}.{role}_proj.weight" for expert in range(experts))
        yield Link((f"{ours}.experts.{role}",), names, Stacked(Transposed()))
