"""The loss of each group of documents in training, beside what any objective minimises."""

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from train.objective import Batch, CrossEntropy, Objective, Sums

if TYPE_CHECKING:
    from train.experiment import Experiment

_NLL, _WEIGHT = "group_nll", "group_weight"
# How much each token counts, where `weights` say how much is learnt from it.
COUNTED = "counted"


@dataclasses.dataclass(frozen=True)
class GroupLosses(Objective):
    """Another objective, unchanged, with `train/loss/NAME` of each group: the mean over its tokens of a step, in nats.

    Of a group without a token in a step the last loss stands, and NaN until it has had one. Held-out text is
    evaluated as by the other objective.

    Attributes:
      names: of the groups, those of `batch.groups`.
      of: the other objective; its `nll` is a sum over tokens, each times its weight.
    """

    names: tuple[str, ...]
    of: Objective = CrossEntropy()

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError when batches do not have these groups, or the other objective cannot be asked."""
        groups = experiment.batch.groups
        if groups is None or groups.names != self.names:
            found = "batch.groups is none" if groups is None else f"batch.groups names {', '.join(groups.names)}"
            raise ValueError(
                f"objective.names is {', '.join(self.names)}, but {found}; both name the same groups in the same order"
            )
        if isinstance(self.of, GroupLosses):
            raise ValueError(f"objective.of is {type(self.of).__name__}, which tells groups apart itself; use it alone")
        self.of.check(experiment)

    def sums(self, model: Any, batch: Batch, dropout_key: Array | None) -> Sums:
        """The other objective's sums, with those of each group among `parts` where the batch has groups."""
        if "groups" not in batch:
            return self.of.sums(model, batch, dropout_key)

        def nll(weights: Array) -> tuple[Array, Sums]:
            found = self.of.sums(model, {**batch, "weights": weights}, dropout_key)
            return found.nll, found

        # The sum is linear in the tokens' weights: its derivative is the loss of each, which costs no second pass.
        total, pull, found = jax.vjp(nll, batch["weights"], has_aux=True)
        each = jax.lax.stop_gradient(pull(jnp.ones_like(total))[0])
        counted = batch.get(COUNTED, batch["weights"])
        parts = {_NLL: self.by_group(batch, each * counted), _WEIGHT: self.by_group(batch, counted)}
        parts |= self.more_parts(batch, each, counted)
        return found._replace(nll=jnp.sum(each * counted), weight=jnp.sum(counted), parts=found.parts | parts)

    def more_parts(
        self, batch: Batch, each: Float[Array, "batch seq"], counted: Float[Array, "batch seq"]
    ) -> dict[str, Float[Array, " groups"]]:
        """Further sums by group, from the loss of each token and how much it counts."""
        return {}

    def start(self) -> Any:
        return {"of": self.of.start(), "loss": jnp.full(len(self.names), jnp.nan, jnp.float32)}

    def weighed(self, batch: Batch, kept: Any) -> Batch:
        return self.of.weighed(batch, kept["of"])

    def moved(self, kept: Any, batch: Batch, total: Sums) -> Any:
        loss, there = group_means(total.parts[_NLL], total.parts[_WEIGHT])
        loss = jnp.where(there, loss, kept["loss"])
        return {**kept, "of": self.of.moved(kept["of"], batch, total), "loss": loss}

    def told(self, kept: Any) -> dict[str, Float[Array, ""]]:
        return self.of.told(kept["of"]) | self.named("train/loss", kept["loss"])

    def named(self, prefix: str, values: Float[Array, " groups"]) -> dict[str, Float[Array, ""]]:
        """Metrics `PREFIX/NAME`, one for each group."""
        return {f"{prefix}/{name}": values[number] for number, name in enumerate(self.names)}

    def by_group(self, batch: Batch, values: Float[Array, "batch seq"]) -> Float[Array, " groups"]:
        """The sum over the tokens of each group."""
        chosen = batch["groups"][..., None] == jnp.arange(len(self.names))
        return jnp.sum(jnp.where(chosen, values[..., None], 0), axis=(0, 1))


def group_means(
    sums: Float[Array, " groups"], weights: Float[Array, " groups"]
) -> tuple[Float[Array, " groups"], Array]:
    """Means of groups, and which of them have any token; the means of the others are 0."""
    there = weights > 0
    return jnp.where(there, sums / jnp.where(there, weights, 1), 0), there
