"""Attention on GPUs: cuDNN's fused kernel, for the masks that it knows; and the kernel for each platform."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from model.cpu_attention import Recomputed
from model.kernels import Blocked, Dense, Dropout, Kernel, Scores, Visibility
from model.masks import Causal, Full, Mask, Segments, SlidingWindow, conjuncts
from model.splash import Splash
from sharding.axes import platform


@dataclasses.dataclass(frozen=True)
class Fused(Kernel):
    """`jax.nn.dot_product_attention`: FlashAttention of cuDNN on a GPU (Dao 2022), plain XLA elsewhere.

    Takes `Full()`, `Causal()` and `Causal() & SlidingWindow(n)`, and scores with a bias. cuDNN computes in 16 bits;
    float32 goes through XLA. Leaves to `Blocked`: other masks, segments, softcap, sinks, dropout and indices that
    are not plain.
    """

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """One call of the fused kernel."""
        mask = visibility.mask
        if visibility.query.segment is None or visibility.key.segment is None:
            mask = mask.without_segments(Full(), Full())
        shape = mask_arguments(mask) if visibility.plain else None
        bent = bool(scores.softcap) or scores.sinks is not None
        if shape is None or bent or dropout is not None or k.shape[-1] != v.shape[-1]:
            return Blocked().attend(q, k, v, visibility, scores, dropout)
        cudnn = q.dtype in (jnp.bfloat16, jnp.float16) and platform() == "gpu"
        bias = scores.bias if scores.bias is None or scores.bias.ndim == 4 else scores.bias[None]
        return jax.nn.dot_product_attention(
            q, k, v, bias, scale=scores.scale, implementation="cudnn" if cudnn else "xla", **shape
        )


def mask_arguments(mask: Mask) -> dict[str, Any] | None:
    """The mask as arguments of `jax.nn.dot_product_attention`; None if it has no such form."""
    parts = [part for part in conjuncts(mask) if not isinstance(part, Full)]
    windows = [part.size for part in parts if isinstance(part, SlidingWindow)]
    if any(isinstance(part, Segments) or not isinstance(part, Causal | SlidingWindow) for part in parts):
        return None
    if len(parts) == len(windows):
        return None if windows else {}
    return {"is_causal": True} | ({"local_window_size": (min(windows) - 1, 0)} if windows else {})


# What attention is computed with where nothing else is asked for.
KERNELS: dict[str, Kernel] = {"cpu": Recomputed(), "gpu": Fused(), "tpu": Splash(fused_backward=True)}


def kernel_for(name: str) -> Kernel:
    """The kernel for a platform, by JAX's name for it."""
    return KERNELS.get(name, Dense())
