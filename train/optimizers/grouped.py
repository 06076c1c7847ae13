"""Groups of weights, by patterns of their names, that learn otherwise than the rest or not at all."""

import dataclasses
import difflib
import fnmatch
from typing import Any

import jax
import jax.numpy as jnp
import optax

from train.optimizers.optimizer import Optimizer, only
from train.optimizers.ranges import not_negative
from train.weights import Weight


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is said of a group of weights; None says nothing.

    Attributes:
      pattern: of names such as `blocks/0/norms/before0/scale`, whole; `*` stands for anything, slashes too.
      rate: multiplies the learning rate, and what the model's parametrisation multiplies it by.
      decay: multiplies the weight decay, and what the parametrisation multiplies it by; vectors, which are spared
        otherwise, are decayed by it too.
      trained: False freezes them.
    """

    pattern: str
    rate: float | None = None
    decay: float | None = None
    trained: bool | None = None

    def __post_init__(self) -> None:
        not_negative(self, *(name for name in ("rate", "decay") if getattr(self, name) is not None))
        if (self.rate, self.decay, self.trained) == (None, None, None):
            raise ValueError(f"Rule('{self.pattern}') says nothing; give rate, decay or trained")

    def matches(self, weight: Weight) -> bool:
        """Whether a weight is of the group."""
        return fnmatch.fnmatchcase(weight.name, self.pattern)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Part:
    """What the inner optimizer keeps of the weights that learn, and which do, in the order of leaves."""

    inner: Any
    trained: tuple[bool, ...] = dataclasses.field(metadata={"static": True})


@dataclasses.dataclass(frozen=True)
class Grouped(Optimizer):
    """Another optimizer, under rules for groups of weights.

    Of several rules that say something of a weight's rate, decay or freezing, the last holds; each may say a part.
    Frozen weights stay bit for bit, nothing is kept of them, and their gradients do not count in the global norm that
    the inner optimizer clips by.

    Attributes:
      inner: how gradients become updates.
      rules: the groups.
    """

    inner: Optimizer
    rules: tuple[Rule, ...] = ()

    @property
    def averages(self) -> bool:
        """Whether the inner optimizer averages."""
        return self.inner.averages

    def transform(self, schedule: optax.Schedule, weights: Any) -> optax.GradientTransformation:
        """The inner transformation of the weights that learn.

        Raises ValueError for a rule that no weight matches, or if no weight is left to learn.
        """
        ruled = self.ruled(weights)
        learn = jax.tree.map(lambda weight: weight.trained, ruled)
        trained = tuple(jax.tree.leaves(learn))
        if not any(trained):
            raise ValueError("Grouped.rules freeze every weight; nothing is left to learn")
        inner = self.inner.transform(schedule, only(ruled, learn))

        def start(params: Any) -> Part:
            return Part(inner.init(only(params, learn)), trained)

        def update(updates: Any, kept: Part, params: Any) -> tuple[Any, Part]:
            steps, within = inner.update(only(updates, learn), kept.inner, only(params, learn))
            # Minus zero: plus zero would turn a weight of minus zero into one of plus zero.
            still = jax.tree.map(lambda u: jnp.full_like(u, -0.0), updates)
            return _filled(steps, trained, still), Part(within, trained)

        return optax.GradientTransformation(start, update)

    def evaluated(self, kept: Any, weights: Any) -> Any:
        """The inner optimizer's, and frozen weights as they are."""
        learn = jax.tree.unflatten(jax.tree.structure(weights), kept.trained)
        return _filled(self.inner.evaluated(kept.inner, only(weights, learn)), kept.trained, weights)

    def ruled(self, weights: Any) -> Any:
        """The tree of weights as the rules would have them. Raises ValueError for a rule that no weight matches."""
        known = jax.tree.leaves(weights)
        for rule in self.rules:
            if not any(map(rule.matches, known)):
                names = [weight.name for weight in known]
                near = difflib.get_close_matches(rule.pattern, names, n=3, cutoff=0.0)
                raise ValueError(
                    f"optimizer.rules: no weight's name matches '{rule.pattern}'; the nearest are {', '.join(near)}"
                )
        return jax.tree.map(self._ruled, weights)

    def _ruled(self, weight: Weight) -> Weight:
        said: dict[str, Any] = {}
        for rule in filter(lambda rule: rule.matches(weight), self.rules):
            said |= {
                name: value for name in ("rate", "decay", "trained") if (value := getattr(rule, name)) is not None
            }
        if "rate" in said:
            said["rate"] *= weight.rate
        if "decay" in said and weight.decay is not None:
            said["decay"] *= weight.decay
        return dataclasses.replace(weight, **said)


def _filled(part: Any, trained: tuple[bool, ...], otherwise: Any) -> Any:
    leaves, tree = jax.tree.flatten(otherwise)
    found = iter(jax.tree.leaves(part))
    return tree.unflatten(next(found) if learns else leaf for learns, leaf in zip(trained, leaves, strict=True))
