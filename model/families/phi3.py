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

# Divisors of the frequencies, found by search; each list is of float32 values.
_SHORT = (
    1.0, 1.0199999809265137, 1.0299999713897705, 1.0299999713897705, 1.0499999523162842, 1.0499999523162842,
    1.0499999523162842, 1.0499999523162842, 1.0499999523162842, 1.0699999332427979, 1.0999999046325684,
    1.1099998950958252, 1.1599998474121094, 1.1599998474121094, 1.1699998378753662, 1.2899998426437378,
    1.339999794960022, 1.679999828338623, 1.7899998426437378, 1.8199998140335083, 1.8499997854232788,
    1.8799997568130493, 1.9099997282028198, 1.9399996995925903, 1.9899996519088745, 2.0199997425079346,
    2.0199997425079346, 2.0199997425079346, 2.0199997425079346, 2.0199997425079346, 2.0199997425079346,
    2.0299997329711914, 2.0299997329711914, 2.0299997329711914, 2.0299997329711914, 2.0299997329711914,
    2.0299997329711914, 2.0299997329711914, 2.0299997329711914, 2.0299997329711914, 2.0799996852874756,
    2.0899996757507324, 2.189999580383301, 2.2199995517730713, 2.5899994373321533, 2.729999542236328,
    2.749999523162842, 2.8399994373321533,
)  # fmt: skip
_LONG = (
    1.0800000429153442, 1.1100000143051147, 1.1399999856948853, 1.340000033378601, 1.5899999141693115,
    1.600000023841858, 1.6200000047683716, 2.620000123977661, 3.2300000190734863, 3.2300000190734863,
    4.789999961853027, 7.400000095367432, 7.700000286102295, 9.09000015258789, 12.199999809265137,
    17.670000076293945, 24.46000099182129, 28.57000160217285, 30.420001983642578, 30.840002059936523,
    32.590003967285156, 32.93000411987305, 42.320003509521484, 44.96000289916992, 50.340003967285156,
    50.45000457763672, 57.55000305175781, 57.93000411987305, 58.21000289916992, 60.1400032043457, 62.61000442504883,
    62.62000274658203, 62.71000289916992, 63.1400032043457, 63.1400032043457, 63.77000427246094, 63.93000411987305,
    63.96000289916992, 63.970001220703125, 64.02999877929688, 64.06999969482422, 64.08000183105469,
    64.12000274658203, 64.41000366210938, 64.4800033569336, 64.51000213623047, 64.52999877929688, 64.83999633789062,
)  # fmt: skip


class Phi3(Mistral):
    """Llama with matrices joined in the file, LongRoPE, and heads of which a part may turn."""

    name = "phi3"
    architectures = ("Phi3ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "Phi-3-mini-4k": sizes(
            32, 3072, 32, 32, 8192, 32_064, rms_norm_eps=1e-5, sliding_window=2047, max_position_embeddings=4096
        ),
        "Phi-3.5-mini": sizes(
            32, 3072, 32, 32, 8192, 32_064, rms_norm_eps=1e-5, sliding_window=262_144,
            max_position_embeddings=131_072, original_max_position_embeddings=4096,
            rope_scaling={"type": "longrope", "short_factor": _SHORT, "long_factor": _LONG},
        ),
        "Phi-3-medium-4k": sizes(
            40, 5120, 40, 10, 17_920, 32_064, rms_norm_eps=1e-5, sliding_window=2047, max_position_embeddings=4096
        ),
    }  # fmt: skip
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
        fixed = ("attention_bias", "mlp_bias")
        values = {key: value for key, value in super().keys(config).items() if key not in fixed}
        # Without the key transformers pads with token 32000, whether the vocabulary has it or not.
        return {**values, "pad_token_id": None}
