"""Statistics of activations, layer by layer, on one batch of held-out text: the same at every evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from model.attention_entropy import spread
from model.observation import Attended, observing
from sharding.axes import active
from train.feed import to_devices
from train.hooks import Hook, Moment
from train.layers import layer_name, layer_numbers
from train.objective import Batch, Objective

_OUTPUTS = ("stream", "attention", "feedforward")


@dataclasses.dataclass(frozen=True)
class ActivationStatistics(Hook):
    """Logs, after each evaluation and for each layer, `NAME/layer_00`, `NAME/layer_01`, ...

    `stream_rms` and `stream_max` are the root mean square and the largest absolute value of the residual stream after
    a block; `attention_...` and `feedforward_...` those of what these layers give. `attention_entropy` is the mean
    entropy of attention in nats, `attention_logit_max` the largest logit (see `model.attention_entropy.Spread`), and
    `router_max_load` the largest load of an expert over the mean load.
    """

    _programs: dict[Any, Callable[..., dict[str, Array]]] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """The statistics of the first batch of held-out text."""
        experiment = moment.experiment
        layout = experiment.placement.on()
        store = next(iter(moment.prepared.sources.values())).validation
        rows = experiment.batch.form.evaluation(
            store, moment.prepared.tokenizer, experiment.batch.evaluation_rows, jax.process_index(), jax.process_count()
        )
        graph, weights = nnx.split(moment.model())
        if graph not in self._programs:
            measure = functools.partial(measured, graph, experiment.objective)
            self._programs[graph] = jax.jit(measure, out_shardings=layout.replicated)
        with active(layout):
            found = self._programs[graph](weights, to_devices(next(iter(rows)), layout))
        return by_layer(jax.device_get(found))


def measured(graph: Any, objective: Objective, weights: Any, batch: Batch) -> dict[str, Array]:
    """Statistics by `place/name`, [repeats], of one forward pass of the model that `graph` and `weights` make."""
    with observing(statistics) as found:
        sums = objective.sums(nnx.merge(graph, weights), batch, None)
    for key, load in sums.figures.items():
        place, _, name = key.rpartition("/")
        if name == "load":
            found[f"{place}/router_max_load"] = load.max(-1) / load.mean(-1)
    return found


def statistics(name: str, value: Any) -> dict[str, Array]:
    """What is kept of an observed value: scalars."""
    if isinstance(value, Attended):
        entropy, logit_max = spread(value)
        return {"attention_entropy": entropy, "attention_logit_max": logit_max}
    if name not in _OUTPUTS:
        return {}
    value = value.astype(jnp.float32)
    return {f"{name}_rms": jnp.sqrt(jnp.mean(jnp.square(value))), f"{name}_max": jnp.max(jnp.abs(value))}


def by_layer(found: Mapping[str, Any]) -> dict[str, float]:
    """Figures of `place/name`, [repeats], as one figure a layer: `name/layer_03`.

    A stack that is not the only one keeps its name in front: `encoder/name/layer_03`.
    """
    stacks: dict[str, dict[int, dict[str, Any]]] = {}
    for key, values in found.items():
        parts = key.split("/")
        at = next(i for i, part in enumerate(parts) if part.isdigit())
        name = "/".join([*parts[:at], *parts[at + 1 :]])
        stacks.setdefault("/".join(parts[:at]), {}).setdefault(int(parts[at]), {})[name] = values
    figures = {}
    for places in stacks.values():
        numbers = layer_numbers({place: len(next(iter(named.values()))) for place, named in places.items()})
        for place, named in places.items():
            for name, values in named.items():
                for number, value in zip(numbers[place], values, strict=True):
                    figures[f"{name}/{layer_name(number)}"] = float(value)
    return dict(sorted(figures.items()))
