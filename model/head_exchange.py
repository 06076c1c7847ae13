"""Attention over a divided sequence by dividing heads instead: all-to-all before and after."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from model.fused import kernel_for
from model.kernels import Dropout, Kernel, Scores, Visibility
from model.masks import Places
from model.ring import Ring
from sharding.axes import BATCH, HEAD_DIM, HEADS, SEQ, laid_out, mesh, platform, spread, ways, within_share


@dataclasses.dataclass(frozen=True)
class AllToAllHeads(Kernel):
    """DeepSpeed-Ulysses (Jacobs 2023, arXiv:2309.14509): devices trade stretches of all heads for whole rows of some.

    A device sends 4 times its share of activations, whatever the number of devices, and holds whole rows of
    1 / (ways of the sequence times ways of the heads) of the heads; so there are at least as many heads as devices that
    share a row. Key heads that are fewer are repeated. Dropout, and keys that do not divide, are left to `Ring`.

    Attributes:
      within: the kernel for whole rows; None picks by platform.
    """

    within: Kernel | None = None

    divided = True

    def attend(
        self,
        q: Float[Array, "batch seq heads head_dim"],
        k: Float[Array, "batch keys kv_heads head_dim"],
        v: Float[Array, "batch keys kv_heads value_dim"],
        visibility: Visibility,
        scores: Scores,
        dropout: Dropout | None,
    ) -> Float[Array, "batch seq heads value_dim"]:
        """`within` on whole rows of a device's share of batch and heads.

        Raises ValueError if the devices that share a row cannot share its heads evenly.
        """
        names, shares = spread(SEQ), ways(SEQ)
        if shares == 1 or q.shape[1] % shares or k.shape[1] % shares or dropout is not None:
            return Ring(self.within).attend(q, k, v, visibility, scores, dropout)
        batch, _, heads, _ = laid_out(q.shape, BATCH, SEQ, HEADS, HEAD_DIM).spec
        before = () if heads is None else (heads,) if isinstance(heads, str) else tuple(heads)
        divided = shares * math.prod(mesh().shape[name] for name in before)
        if q.shape[2] % divided:
            raise ValueError(
                f"AllToAllHeads: {q.shape[2]} heads cannot be shared by the {divided} devices that share a row; "
                f"a number of heads that {divided} divides can, and Ring() takes any"
            )
        repeated = math.lcm(k.shape[2], divided) // k.shape[2]
        k, v = (x if repeated == 1 else jnp.repeat(x, repeated, axis=2) for x in (k, v))
        rows, whole = PartitionSpec(batch, names, heads, None), (*before, *names)
        bias = scores.bias if scores.bias is None or scores.bias.ndim == 4 else scores.bias[None]

        def of_batch(x: Array | None, *rest: Any) -> PartitionSpec | None:
            return None if x is None else PartitionSpec(None if x.shape[0] == 1 else batch, *rest)

        places = (visibility.query, visibility.key)
        specs = (
            rows, rows, rows,
            of_batch(bias, None if bias is None or bias.shape[1] == 1 else whole),
            None if scores.sinks is None else PartitionSpec(whole),
            tuple(Places(*(of_batch(x) for x in part)) for part in places),
        )  # fmt: skip
        share = functools.partial(self._share, names, visibility, scores)
        given = (q, k, v, bias, scores.sinks, places)
        return jax.shard_map(share, mesh=mesh(), in_specs=specs, out_specs=rows, check_vma=False)(*given)

    def _share(
        self, names: tuple[str, ...], visibility: Visibility, scores: Scores,
        q: Array, k: Array, v: Array, bias: Array | None, sinks: Array | None, places: tuple[Places, Places],
    ) -> Array:  # fmt: skip
        q, k, v = (jax.lax.all_to_all(x, names, 2, 1, tiled=True) for x in (q, k, v))
        seen = visibility._replace(query=places[0], key=places[1])
        with within_share():
            kernel = self.within or kernel_for(platform())
            mixed = kernel.attend(q, k, v, seen, scores._replace(bias=bias, sinks=sinks), None)
        return jax.lax.all_to_all(mixed, names, 1, 2, tiled=True)
