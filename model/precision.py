"""Number formats of weights and of computation."""

import dataclasses

import jax.numpy as jnp

from model.quantised import QuantisedProduct

FORMATS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Precision:
    """Formats by name, `float32` or `bfloat16`. Logits and sums of softmax are float32 whatever these say.

    Attributes:
      weights: format in which weights are kept and updated.
      compute: format of activations and of the operands of matrix products.
      products: how tokens are multiplied with the weights of attention and dense feed-forward layers, if not in
        `compute`: `Int8()` or `Fp8()`. Routers, experts, embeddings and logits stay as they are.
    """

    weights: str = "float32"
    compute: str = "bfloat16"
    products: QuantisedProduct | None = None

    def __post_init__(self) -> None:
        for field in ("weights", "compute"):
            if getattr(self, field) not in FORMATS:
                raise ValueError(f"Precision.{field} is '{getattr(self, field)}'; it is one of {', '.join(FORMATS)}")

    @property
    def compute_dtype(self) -> jnp.dtype:
        """`compute` as a dtype."""
        return jnp.dtype(self.compute)

    @property
    def weights_dtype(self) -> jnp.dtype:
        """`weights` as a dtype."""
        return jnp.dtype(self.weights)
