"""The training step: a pure function from (state, batch) to (state, metrics)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from sharding.axes import active
from sharding.compiler_flags import compiler_options
from sharding.host_memory import give_back_freed_memory, lean
from sharding.placement import Layout
from train.balance import balanced, router_metrics
from train.digest import batch_digest
from train.objective import Batch, Objective, Sums
from train.probe import Probe, Seen
from train.safety import Safety, Unguarded, chosen
from train.state import Blueprint, TrainState

Metrics = dict[str, Array]
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_step(
    blueprint: Blueprint,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    *,
    seed: int | Array,
    accumulate: int = 1,
    units: int = 1,
    probes: Sequence[Probe] = (),
    safety: Safety = Safety(Unguarded()),
) -> Step:
    """The training step. Randomness is a function of (seed, step) alone; data move on by `units`.

    The loss is the mean over the batch's tokens, however it is cut into `accumulate` micro-batches. What routers
    add to it is taken over each micro-batch; the biases that they are balanced by move by the whole batch. A step
    that `safety` finds bad moves step and position, and nothing else. Weights that lie apart between steps are
    gathered once, and updated in the shares into which each micro-batch's gradient is summed.
    """
    noisy = blueprint.config.noisy
    table = blueprint.table if probes else None

    def sums(weights: Any, batch: Batch, key: Array) -> tuple[Array, Sums]:
        result = objective.sums(blueprint.model(weights), batch, key if noisy else None)
        return result.loss, result

    def mean(weights: Any, batch: Batch, key: Array) -> tuple[Array, Sums]:
        loss, result = sums(weights, batch, key)
        return loss / _count(result), result

    def one(weights: Any, batch: Batch, key: Array) -> tuple[Any, Sums, Array]:
        found, total = jax.grad(sums, has_aux=True)(weights, batch, key)
        found = blueprint.scattered(found)
        # Only probes ask for it, and what nobody asks for XLA leaves out.
        square = optax.tree.norm(found, squared=True) / jnp.square(_count(total))
        return found, total, jnp.stack([square, 1 / total.weight]) / accumulate

    def averaged(weights: Any, batch: Batch, key: Array) -> tuple[Any, Sums, Array]:
        if accumulate == 1:
            # Divided before the gradient is taken, which then needs no pass over all weights for it.
            found, total = jax.grad(mean, has_aux=True)(weights, batch, key)
            found = blueprint.scattered(found)
            return found, total, jnp.stack([optax.tree.norm(found, squared=True), 1 / total.weight])

        def micro(carry: tuple[Any, Sums, Array], part: tuple[Batch, Array]) -> tuple[tuple[Any, Sums, Array], None]:
            return jax.tree.map(jnp.add, carry, one(weights, part[0], part[1])), None

        # Row r goes to micro-batch r mod accumulate: each device keeps its own rows.
        parts = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0), batch)
        zero = blueprint.scattered(jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.float32), weights))
        shapes = jax.eval_shape(sums, weights, jax.tree.map(lambda x: x[0], parts), key)[1]
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        start = (zero, nothing, jnp.zeros(2, jnp.float32))
        found, total, noise = jax.lax.scan(micro, start, (parts, jax.random.split(key, accumulate)))[0]
        return jax.tree.map(lambda g: g / _count(total), found), total, noise

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        gradients, total, noise = averaged(
            blueprint.gathered(state.weights), objective.weighed(batch, state.objective), key
        )
        count, norm = _count(total), optax.global_norm(gradients)
        good, guard = safety.judged(state.guard, state.step, state.position, units, total.loss / count, norm)
        updates, kept = optimizer.update(gradients, state.optimizer, state.weights)
        figures = {name: value / batch["weights"].size for name, value in total.figures.items()}
        metrics = {
            "train/loss": total.nll / count,
            "train/objective": total.loss / count,
            "train/grad_norm": norm,
            # Of the next update: a bad step makes none.
            "train/learning_rate": jnp.asarray(schedule(state.step - state.guard.get("skipped", 0)), jnp.float32),
            "train/tokens": total.weight,
            # Which batch this was: two runs that should have seen the same can be told apart.
            "train/batch": batch_digest(batch),
            **router_metrics(figures),
            **safety.metrics(guard),
        }
        seen = Seen(table, state.weights, gradients, updates, batch, total, noise[0], noise[1])
        for probe in probes:
            metrics |= probe.measured(seen)
        weights = optax.apply_updates(state.weights, updates)
        if figures:
            weights = balanced(weights, figures, blueprint.config)
        weighing = objective.moved(state.objective, batch, total)
        # A weighing that a bad step would have moved is told as it stays.
        after, before = (weights, kept, weighing), (state.weights, state.optimizer, state.objective)
        weights, kept, weighing = chosen(good, after, before)
        metrics |= objective.told(weighing)
        return TrainState(state.step + 1, state.position + units, weights, kept, weighing, guard), metrics

    return step


def _count(total: Sums) -> Array:
    # A batch of padding alone changes nothing, instead of turning everything into NaN.
    return jnp.maximum(total.weight, 1e-30)


def lower_step(step: Step, state: TrainState, batch: Any, layout: Layout) -> jax.stages.Lowered:
    """A step's program for shapes with shardings; `state` is donated, and comes back where it was."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    with active(layout):
        return jax.jit(step, out_shardings=(shardings, layout.replicated), donate_argnums=0).lower(state, batch)


def compile_step(
    step: Step, state: TrainState, batch: Any, layout: Layout, options: dict[str, Any] | None = None
) -> jax.stages.Compiled:
    """The program of `lower_step`, compiled; see `compiled`."""
    return compiled(lower_step(step, state, batch, layout), layout, options)


def compiled(
    lowered: jax.stages.Lowered, layout: Layout, options: dict[str, Any] | None = None
) -> jax.stages.Compiled:
    """A step's program, compiled for these devices with `options`, and without any with those of its chip."""
    options = compiler_options(layout.device_kind) if options is None else options
    with active(layout):
        program = lowered.compile(compiler_options={**lean(layout.mesh.size, layout.platform), **(options or {})})
    if layout.platform == "cpu":
        give_back_freed_memory()
    return program
