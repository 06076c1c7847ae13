"""Matrix products in eight bits, for training: quantised by qwix, with gradients straight through the rounding."""

import abc
import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sharding.axes import device_kind
from sharding.hardware import has_fp8


@dataclasses.dataclass(frozen=True)
class QuantisedProduct(abc.ABC):
    """How tokens are multiplied with the weights of a layer, when not in the format of the tokens.

    Every token, and every row or column of weights, has a scale of its own, its largest magnitude: so tokens do not
    see one another, and scales are applied to the products. Rounding is passed by as if it were not there (Bengio
    2013). Weights stay as they are kept; they are quantised anew in each step.
    """

    @property
    @abc.abstractmethod
    def formats(self) -> "Formats":
        """Formats of the operands."""

    @abc.abstractmethod
    def check_hardware(self, kind: str) -> None:
        """Raises ValueError if devices of this kind do not compute such products."""

    def __call__(
        self, x: Float[Array, "*batch inputs"], weight: Float[Array, "inputs outputs"]
    ) -> Float[Array, "*batch outputs"]:
        """x @ weight, in the format of x.

        Raises:
          ValueError: if the devices that the program is for do not compute such products.
          ImportError: without qwix.
        """
        self.check_hardware(device_kind())
        return product(x, weight, self.formats)


@dataclasses.dataclass(frozen=True)
class Formats:
    """Formats of operands by name; None leaves them as they are.

    Attributes:
      forward: of tokens and weights.
      back: of the gradients that are multiplied with weights, into gradients of tokens; weights have `forward`.
      back_to_weights: of the gradients that are multiplied with tokens, into gradients of weights; tokens have
        `forward`.
    """

    forward: str
    back: str | None
    back_to_weights: str | None


@dataclasses.dataclass(frozen=True)
class Int8(QuantisedProduct):
    """Eight-bit integers, summed in 32 bits; gradients of weights in `compute` (SwitchBack, Wortsman 2023, section 2).

    The paper has one scale for a whole matrix of weights; here each column has one, and in the backward pass each row.

    Attributes:
      back: whether gradients of tokens are such products too.
    """

    back: bool = True

    @property
    def formats(self) -> Formats:
        """int8, and for gradients of weights none."""
        return Formats("int8", "int8" if self.back else None, None)

    def check_hardware(self, kind: str) -> None:
        """Every device that JAX knows multiplies such integers."""


@dataclasses.dataclass(frozen=True)
class Fp8(QuantisedProduct):
    """Eight-bit floats: tokens and weights with 4 bits of exponent, gradients with 5 (Micikevicius 2022, section 3).

    Attributes:
      anywhere: whether to compute it also where the hardware has no such products: the same numbers, and slower
        than in `compute`.
    """

    anywhere: bool = False

    @property
    def formats(self) -> Formats:
        """e4m3 forward, e5m2 for gradients."""
        return Formats("float8_e4m3fn", "float8_e5m2", "float8_e5m2")

    def check_hardware(self, kind: str) -> None:
        """Raises ValueError if devices of this kind have no products of eight-bit floats."""
        if not self.anywhere and not has_fp8(kind):
            raise ValueError(
                f"Fp8: '{kind}' has no products of 8-bit floats; use Int8(), or Fp8(anywhere=True) to emulate them"
            )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(
    x: Float[Array, "*batch inputs"], weight: Float[Array, "inputs outputs"], formats: Formats
) -> Float[Array, "*batch outputs"]:
    """x @ weight with both in `formats.forward`, in the format of x."""
    return _contracted(x, weight, (x.ndim - 1, 0), formats.forward, formats.forward)


def _forward(x: Array, weight: Array, formats: Formats) -> tuple[Array, tuple[Array, Array]]:
    return product(x, weight, formats), (x, weight)


def _backward(formats: Formats, kept: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, weight = kept
    back, to_weights = formats.back, formats.back_to_weights
    dx = _contracted(dy, weight, (dy.ndim - 1, 1), back, back and formats.forward)
    rows, gradients = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dw = _contracted(rows, gradients, (0, 0), to_weights and formats.forward, to_weights)
    return dx.astype(x.dtype), dw.astype(weight.dtype)


product.defvjp(_forward, _backward)


def _contracted(
    left: Array, right: Array, over: tuple[int, int], left_format: str | None, right_format: str | None
) -> Array:
    """The product over one dimension of each, with a scale for every index of the others; in the format of `left`."""
    dimensions = (((over[0],), (over[1],)), ((), ()))
    if left_format is None or right_format is None:
        summed = jax.lax.dot_general(left, right, dimensions, preferred_element_type=jnp.float32)
        return summed.astype(left.dtype)
    qwix = _qwix()

    def quantised(x: Array, axis: int, name: str) -> object:
        others = tuple(i for i in range(x.ndim) if i != axis)
        return qwix.quantize(x, jnp.dtype(name), channelwise_axes=others, scale_dtype=jnp.float32)

    operands = quantised(left, over[0], left_format), quantised(right, over[1], right_format)
    return qwix.dot_general(*operands, dimensions, preferred_element_type=jnp.float32).astype(left.dtype)


def _qwix() -> types.ModuleType:
    # Heavy, and needed by few.
    try:
        import qwix
    except ImportError as error:
        raise ImportError("products in 8 bits need qwix: pip install 'espalier[quantised]'") from error
    return qwix
