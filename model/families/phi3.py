"""Phi-3 (Abdin 2024)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.forms import HeadsIn, HeadsOut, Joined, Transposed
from model.families.link import Link, link
from model.families.llama import Mistral, sizes
from model.families.published import FamilyError, Published
from model.families.rope import rope
from model.masks import Causal, Mask, SlidingWindow
from model.positions import LongRope, Rope


class Phi3(Mistral):
    """Llama with matrices joined in the file, LongRoPE, and heads of which a part may turn."""

    name = "phi3"
    architectures = ("Phi3ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Phi-3-mini-4k": sizes(
            32, 3072, 32, 32, 8192, 32_064, rms_norm_eps=1e-5, sliding_window=2047, max_position_embeddings=4096
        ),
        "Phi-3-medium-4k": sizes(
            40, 5120, 40, 10, 17_920, 32_064, rms_norm_eps=1e-5, sliding_window=2047, max_position_embeddings=4096
        ),
    }
    eps = 1e-5

    def mask(self, published: Published) -> Mask:
        """Causal, within the window if there is one."""
        window = published.get("sliding_window", 0)
        return Causal() & SlidingWindow(window) if window else Causal()

    def rope(self, published: Published, **reading: Any) -> Rope:
        """Unscaled or LongRoPE, which early files call `su`."""
        positions = rope(published, **reading)
        if not isinstance(positions.scaling, LongRope | None):
            raise FamilyError(
                f"{published.place} has rope scaling of the type {type(positions.scaling).__name__}; "
                f"{self.name} has longrope alone"
            )
        return positions

    def biases(self, published: Published) -> tuple[bool, bool]:
        """None."""
        return False, False

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Queries, keys and values joined; the output."""
        spec: Attention = config.attention.at(block)
        heads, features = (spec.heads, spec.key_heads, spec.key_heads), spec.features(config.embed)
        ours, theirs = f"blocks.{block}.attention", f"model.layers.{block}.self_attn"
        joined = Joined(tuple(n * features for n in heads), tuple(map(HeadsIn, heads)))
        yield Link((f"{ours}.query", f"{ours}.key", f"{ours}.value"), (f"{theirs}.qkv_proj.weight",), joined)
        yield link(f"{ours}.output", f"{theirs}.o_proj.weight", HeadsOut(spec.heads))

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Gate and up joined; down."""
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.mlp"
        joined = Joined((config.feedforward.at(block).hidden,) * 2, (Transposed(),) * 2)
        yield Link((f"{ours}.gate", f"{ours}.up"), (f"{theirs}.gate_up_proj.weight",), joined)
        yield link(f"{ours}.down", f"{theirs}.down_proj.weight", Transposed())

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """What is always so has no key."""
        values = super().keys(config)
        return {key: value for key, value in values.items() if key not in ("attention_bias", "mlp_bias")}
