"""Bad steps: which they are, and what becomes of a run that has them. All of it is decided on the device."""

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Scalar = Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class Guard(abc.ABC):
    """Tells good steps from bad ones. What it keeps is all zeros before the first step."""

    def start(self) -> dict[str, Array]:
        """What it keeps from step to step."""
        return {}

    @abc.abstractmethod
    def good(self, kept: dict[str, Array], loss: Scalar, norm: Scalar) -> Bool[Array, ""] | None:
        """Whether a step of this mean loss and global gradient norm counts; None where every one does."""

    def moved(self, kept: dict[str, Array], good: Bool[Array, ""], norm: Scalar) -> dict[str, Array]:
        """What is kept after the step."""
        return kept


@dataclasses.dataclass(frozen=True)
class Unguarded(Guard):
    """Every step counts, whatever it does to the weights."""

    def good(self, kept: dict[str, Array], loss: Scalar, norm: Scalar) -> None:
        """None."""
        return None


@dataclasses.dataclass(frozen=True)
class Finite(Guard):
    """A step counts if its loss and its gradient are finite."""

    def good(self, kept: dict[str, Array], loss: Scalar, norm: Scalar) -> Bool[Array, ""]:
        """Whether both are finite; a norm is not if any gradient is not."""
        return jnp.isfinite(loss) & jnp.isfinite(norm)


@dataclasses.dataclass(frozen=True)
class Spikes(Finite):
    """A step counts if it is finite and its gradient is not far longer than those of late.

    The rule is that of OLMo-core's SkipStepOptimizer (there of the norm and the loss; its defaults are these: 6
    standard deviations above the mean, of 128 steps). It is taken here of the norm's logarithm, since norms spread
    by factors. Nothing is called a spike before half of the window is filled.

    Attributes:
      deviations: standard deviations above the mean of the window from which on a norm is a spike.
      window: good steps that mean and deviation are taken over.
    """

    deviations: float = 6.0
    window: int = 128

    def __post_init__(self) -> None:
        if self.deviations <= 0 or self.window < 4:
            raise ValueError(f"Spikes({self.deviations}, {self.window}): deviations is above 0, and window at least 4")

    def start(self) -> dict[str, Array]:
        """Logarithms of the norms of the last good steps, and how many steps were good."""
        return {"norms": jnp.zeros(self.window, jnp.float32), "count": jnp.zeros((), jnp.int32)}

    def good(self, kept: dict[str, Array], loss: Scalar, norm: Scalar) -> Bool[Array, ""]:
        """Whether it is finite and no spike."""
        filled = jnp.minimum(kept["count"], self.window)
        there = (jnp.arange(self.window) < filled).astype(jnp.float32)
        count = jnp.maximum(filled, 1).astype(jnp.float32)
        mean = jnp.sum(kept["norms"] * there) / count
        deviation = jnp.sqrt(jnp.sum(jnp.square(kept["norms"] - mean) * there) / count)
        spike = (filled >= self.window // 2) & (_log(norm) > mean + self.deviations * deviation)
        return super().good(kept, loss, norm) & ~spike

    def moved(self, kept: dict[str, Array], good: Bool[Array, ""], norm: Scalar) -> dict[str, Array]:
        """The norm of a good step takes the place of the oldest."""
        place = kept["count"] % self.window
        norms = kept["norms"].at[place].set(jnp.where(good, _log(norm), kept["norms"][place]))
        return {"norms": norms, "count": kept["count"] + good.astype(jnp.int32)}


@dataclasses.dataclass(frozen=True)
class Safety:
    """What becomes of bad steps.

    A bad step changes nothing but the step and the data position; the learning rate, which optimizers take by the
    updates that they made, stands still with them. After `patience` in a row the run goes back to the
    newest checkpoint from before the first of them, and passes over their batches when it comes there (as PaLM did by
    hand, Chowdhery 2022, section 5.1). It learns of it where it reads metrics anyway: one to two log intervals later,
    or at the next save or evaluation, whichever is first.

    Attributes:
      guard: tells good steps from bad ones.
      patience: bad steps in a row after which the run goes back; 0 never does.
      rollbacks: how often it goes back before it gives up.
    """

    guard: Guard = Finite()
    patience: int = 5
    rollbacks: int = 10

    def __post_init__(self) -> None:
        for field in ("patience", "rollbacks"):
            if getattr(self, field) < 0:
                raise ValueError(f"safety.{field} is {getattr(self, field)}; it is 0 or more")

    def start(self) -> dict[str, Any]:
        """What is kept from step to step, all zeros before the first.

        `skipped` steps in all and `row` in a row; the row that is or was the worst began after `step` steps at
        position `first` and ended before `until`; `tripped` is 1 from when it was too long, and then stays.
        """
        if isinstance(self.guard, Unguarded):
            return {}
        counts = {key: jnp.zeros((), jnp.int32) for key in ("skipped", "row", "step", "first", "until", "tripped")}
        return {**counts, "guard": self.guard.start()}

    def judged(
        self, kept: dict[str, Any], step: Int[Array, ""], position: Int[Array, ""], units: int, loss: Scalar,
        norm: Scalar,
    ) -> tuple[Bool[Array, ""] | None, dict[str, Any]]:
        """Whether the step counts, and what is kept after it. `position` is where it read, `units` how much."""
        good = self.guard.good(kept.get("guard", {}), loss, norm)
        if good is None:
            return None, kept
        bad, tripped = ~good, kept["tripped"] > 0
        row = jnp.where(bad, kept["row"] + 1, 0)
        begins = bad & (row == 1) & ~tripped
        goes_on = bad & (kept["row"] > 0) & (kept["until"] == position)
        return good, {
            "skipped": kept["skipped"] + bad,
            "row": row,
            "step": jnp.where(begins, step, kept["step"]),
            "first": jnp.where(begins, position, kept["first"]),
            "until": jnp.where(begins | goes_on, position + units, kept["until"]),
            "tripped": (tripped | (row >= self.patience)).astype(jnp.int32) if self.patience else kept["tripped"],
            "guard": self.guard.moved(kept["guard"], good, norm),
        }

    def metrics(self, kept: dict[str, Any]) -> dict[str, Array]:
        """`train/skipped`, `train/skipped_in_a_row`, and under `safety/` what the host has to know of a long row."""
        if not kept:
            return {}
        said = {"train/skipped": kept["skipped"], "train/skipped_in_a_row": kept["row"]}
        return said | {f"safety/{key}": kept[key] for key in ("tripped", "step", "first", "until")}


def chosen(good: Bool[Array, ""] | None, after: Any, before: Any) -> Any:
    """The tree `after` a step if it is good, or what it was `before`, bit for bit."""
    if good is None:
        return after
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), after, before)


def _log(norm: Scalar) -> Scalar:
    return jnp.log(jnp.maximum(norm, 1e-30))
