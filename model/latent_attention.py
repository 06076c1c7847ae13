"""Multi-head latent attention: keys and values of all heads from one small vector a token, which a cache keeps."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from model.attention import kernel_of, over_cache, within_row, written
from model.kernels import Dropout, Kernel, Scores, Visibility
from model.layers import linear
from model.masks import Causal, Mask
from model.mixing import Kept, Mixing, Step
from model.norms import Norm, RMSNorm
from model.observation import Attended, observe
from model.parameters import Sizes, normal
from model.positions import Positions, Rope, angles_fit
from model.quantised import QuantisedProduct
from sharding.axes import BATCH, EMBED, HEAD_DIM, HEADS, LATENT, RANK, SEQ, constrain


@dataclasses.dataclass(frozen=True)
class LatentAttention(Mixing):
    """Multi-head latent attention (DeepSeek-V2 2024, section 2.1; V3 2024, eqs. 1 to 11).

    A head's query and key have a part without and a part with position; the latter's key is shared by all heads.

    Attributes:
      heads: number of heads.
      kv_rank: length of the vector that keys and values are made of.
      query_rank: length of the vector that queries are made of; 0: they are made of the stream.
      plain_dim: features of a query or key without position.
      rotary_dim: features of a query or key that the position encoding acts on.
      value_dim: features of a value.
      mask: which keys a query may see.
      positions: position encoding; it acts on queries and keys.
      norm: of both vectors.
      kernel: how attention is computed; None picks by platform.
      scale: factor on products of queries and keys; 0 means (plain_dim + rotary_dim)^-1/2 times the encoding's factor.
    """

    heads: int
    kv_rank: int
    query_rank: int = 0
    plain_dim: int = 128
    rotary_dim: int = 64
    value_dim: int = 128
    mask: Mask = Causal()
    positions: Positions = Rope(interleaved=True)
    norm: Norm = RMSNorm()
    kernel: Kernel | None = None
    scale: float = 0.0

    def __post_init__(self) -> None:
        for field in ("heads", "kv_rank", "plain_dim", "rotary_dim", "value_dim"):
            if getattr(self, field) < 1:
                raise ValueError(f"LatentAttention.{field} is {getattr(self, field)}; it is at least 1")
        for field in ("query_rank", "scale"):
            if getattr(self, field) < 0:
                raise ValueError(f"LatentAttention.{field} is {getattr(self, field)}; it is at least 0")
        angles_fit(self.rotary_dim, self.positions)

    @property
    def query_dim(self) -> int:
        """Features of a query or key."""
        return self.plain_dim + self.rotary_dim

    @property
    def score_scale(self) -> float:
        """Factor on products of queries and keys."""
        return self.scale or self.query_dim**-0.5 * self.positions.softmax_factor()

    def check(self, embed: int) -> None:
        """Fits any width."""

    def build(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """Weights that go down to the vectors and up to the heads."""
        return LatentAttentionLayer(self, sizes, rngs)

    def matmul_weights(self, embed: int) -> int:
        """All projections, those that make keys and values of the vector included."""
        into = self.query_rank or embed
        query = into * self.heads * self.query_dim + self.query_rank * embed
        keys = embed * (self.kv_rank + self.rotary_dim) + self.kv_rank * self.heads * (self.plain_dim + self.value_dim)
        return query + keys + self.heads * self.value_dim * embed

    def weight_count(self, embed: int) -> int:
        """Projections and the norms of the vectors."""
        ranks = [rank for rank in (self.query_rank, self.kv_rank) if rank]
        return self.matmul_weights(embed) + sum(map(self.norm.weight_count, ranks))

    def features_per_key(self, embed: int) -> int:
        """A score and a value for each head."""
        return self.heads * (self.query_dim + self.value_dim)

    def kept_per_token(self, embed: int) -> int:
        """The vector, and the key part that all heads share."""
        return self.kv_rank + self.rotary_dim


class LatentAttentionLayer(nnx.Module):
    """The weights of `LatentAttention`, and its formula."""

    def __init__(self, spec: LatentAttention, sizes: Sizes, rngs: nnx.Rngs) -> None:
        self.spec = spec
        # Keys and values are made of the vectors in `compute`: when decoding, by other products than in a full pass.
        self.dropout, self.quantised = sizes.dropout, sizes.precision.products
        self.scores = Scores(spec.scale or spec.score_scale * sizes.parametrization.scores(spec.query_dim))
        embed, std = sizes.embed, sizes.init_std

        def up(rank: int, features: int, std: float, axis: str = LATENT) -> nnx.Param:
            return normal(rngs, (rank, spec.heads, features), (axis, HEADS, HEAD_DIM), std, sizes)

        def norm(rank: int) -> nnx.Module:
            return spec.norm.over((rank,), (RANK,), sizes)

        if spec.query_rank:
            self.query_down = normal(rngs, (embed, spec.query_rank), (EMBED, RANK), std, sizes)
            self.query_norm = norm(spec.query_rank)
            self.query_up = up(spec.query_rank, spec.query_dim, std)
        else:
            self.query_down, self.query_norm = None, None
            self.query_up = up(embed, spec.query_dim, std, EMBED)
        self.latent_down = normal(rngs, (embed, spec.kv_rank), (EMBED, RANK), std, sizes)
        self.latent_norm = norm(spec.kv_rank)
        self.rotary_key = normal(rngs, (embed, spec.rotary_dim), (EMBED, HEAD_DIM), std, sizes)
        self.key_up = up(spec.kv_rank, spec.plain_dim, std)
        self.value_up = up(spec.kv_rank, spec.value_dim, sizes.inner_std)
        self.output = normal(
            rngs, (spec.heads, spec.value_dim, embed), (HEADS, HEAD_DIM, EMBED), sizes.residual_std, sizes
        )

    def __call__(
        self,
        x: Float[Array, "batch seq embed"],
        step: Step,
        position_weights: nnx.Module | None,
        kept: Kept = None,
        dropout_key: Array | None = None,
    ) -> tuple[Float[Array, "batch seq embed"], Kept]:
        """Attends over the row itself, or over the cache with the row's one token written into it.

        Returns the output, and the vectors and shared key parts: of the row, or of the whole cache.
        """
        plain, rotary = self._queries(x, step)
        latent = self.latent_norm(linear(x, self.latent_down[...], quantised=self.quantised))
        shared = linear(x, self.rotary_key[...], quantised=self.quantised)
        shared = self.spec.positions.at_heads(shared[:, :, None], step.position)[:, :, 0]
        latent, shared = checkpoint_name(latent, "key"), checkpoint_name(shared, "value")
        if kept is None:
            seen = within_row(self.spec.mask, step)
            mixed = self._over_heads(plain, rotary, latent, shared, seen, dropout_key)
        else:
            latent, shared = written(kept, (latent, shared), step, self.spec.mask)
            mixed = self._over_latents(plain, rotary, latent, shared, over_cache(self.spec.mask, step))
        mixed = constrain(mixed, BATCH, SEQ, HEADS, HEAD_DIM)
        mixed = mixed if kernel_of(self.spec.kernel).names_output else checkpoint_name(mixed, "attention")
        output, mixed = self.output[...], mixed.reshape(*x.shape[:2], -1)
        return linear(mixed, output.reshape(-1, output.shape[-1]), quantised=self.quantised), (latent, shared)

    def _queries(self, x: Array, step: Step) -> tuple[Array, Array]:
        if self.query_down is not None:
            x = self.query_norm(linear(x, self.query_down[...], quantised=self.quantised))
        heads = constrain(_heads(x, self.query_up[...], self.quantised), BATCH, SEQ, HEADS, HEAD_DIM)
        plain, rotary = heads[..., : self.spec.plain_dim], heads[..., self.spec.plain_dim :]
        return checkpoint_name(plain, "query"), self.spec.positions.at_heads(rotary, step.position)

    def _over_heads(
        self, plain: Array, rotary: Array, latent: Array, shared: Array, seen: Visibility, key: Array | None
    ) -> Array:
        """Keys and values of each head, made of the vectors: the form for many queries."""
        keys, values = (_heads(latent, weight[...]) for weight in (self.key_up, self.value_up))
        keys, values = (constrain(part, BATCH, SEQ, HEADS, HEAD_DIM) for part in (keys, values))
        shared = jnp.broadcast_to(shared[:, :, None], (*keys.shape[:-1], shared.shape[-1]))
        q, k = jnp.concatenate([plain, rotary], axis=-1), jnp.concatenate([keys, shared], axis=-1)
        dropout = None if key is None or not self.dropout else Dropout(self.dropout, key)
        observe("scores", Attended(q, k, seen, self.scores))
        return kernel_of(self.spec.kernel).attend(q, k, values, seen, self.scores, dropout)

    def _over_latents(self, plain: Array, rotary: Array, latent: Array, shared: Array, seen: Visibility) -> Array:
        """Queries taken to where the vectors are, which all heads share: the form for one query and a long cache.

        The same by associativity: q (W c) = (q W) c, and the sum of a_t (W c_t) = W times the sum of a_t c_t.
        """
        key_up, value_up = (weight[...].astype(plain.dtype) for weight in (self.key_up, self.value_up))
        q = jnp.concatenate([jnp.einsum("bsnd,rnd->bsnr", plain, key_up), rotary], axis=-1)
        k = jnp.concatenate([latent, shared], axis=-1)[:, :, None]
        mixed = kernel_of(self.spec.kernel).attend(
            q, k, latent[:, :, None], seen, self.scores, None
        )
        return jnp.einsum("bsnr,rnd->bsnd", mixed, value_up)


def _heads(
    x: Float[Array, "batch seq inputs"],
    weight: Float[Array, "inputs heads features"],
    quantised: QuantisedProduct | None = None,
) -> Array:
    return linear(x, weight.reshape(weight.shape[0], -1), quantised=quantised).reshape(*x.shape[:2], *weight.shape[1:])
