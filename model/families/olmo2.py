"""OLMo 2 (OLMo team 2024)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.forms import HeadVectors
from model.families.link import Link, link
from model.families.llama import BlockNorms, Llama, sizes
from model.families.published import Published
from model.masks import Mask
from model.norms import RMSNorm
from model.positions import Rope
from model.qk_norm import AcrossHeads
from model.residual import OutputNorm, Residual


def _olmo2(*shape: int) -> dict[str, Any]:
    return sizes(*shape, 100_352, rope_theta=500_000.0, rms_norm_eps=1e-6, max_position_embeddings=4096)


class Olmo2(Llama):
    """Llama with norms after each layer, and of all heads' queries and keys together."""

    name = "olmo2"
    architectures = ("Olmo2ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "OLMo-2-0425-1B": _olmo2(16, 2048, 16, 16, 8192),
        "OLMo-2-1124-7B": _olmo2(32, 4096, 32, 32, 11_008),
        "OLMo-2-1124-13B": _olmo2(40, 5120, 40, 40, 13_824),
        "OLMo-2-0325-32B": _olmo2(64, 5120, 40, 8, 27_648),
    }
    residual: ClassVar[Residual] = OutputNorm()
    block_norms: ClassVar[BlockNorms] = (
        ("after0", "post_attention_layernorm"), ("after1", "post_feedforward_layernorm")
    )  # fmt: skip
    eps = 1e-5

    def attention_layer(self, published: Published, mask: Mask, positions: Rope, **others: Any) -> Attention:
        """Adds the norms."""
        norm = AcrossHeads(RMSNorm(published.get("rms_norm_eps", self.eps)))
        return super().attention_layer(published, mask, positions, qk_norm=norm, **others)

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Adds the norms."""
        yield from super().attention_links(config, block)
        spec: Attention = config.attention.at(block)
        ours, theirs = f"blocks.{block}.attention", f"model.layers.{block}.self_attn"
        yield link(f"{ours}.query_norm.norm.scale", f"{theirs}.q_norm.weight", HeadVectors(spec.heads))
        yield link(f"{ours}.key_norm.norm.scale", f"{theirs}.k_norm.weight", HeadVectors(spec.key_heads))
