"""How much of a text a model recites: whether it goes on word for word from a part of it (Carlini 2022, section 3)."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from data.sources import Source
from data.tokenizers import Tokenizer
from experiments.samples import on_every_device
from sharding.axes import active
from train.hooks import Hook, Moment

if TYPE_CHECKING:
    from train.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Recitation(Hook):
    """After each evaluation, how much of the documents of a source the model recites, and its loss on them.

    Documents are cut into stretches of `prompt + length` tokens. A stretch is recited if the model, given the prompt,
    gives the rest of it by taking the likeliest token each time; which is so if each of these tokens is the
    likeliest after all that are before it in the text, so that one pass tells.

    Attributes:
      name: of the text, in metrics.
      text: the text; it is read anew at each start of a run.
      prompt: tokens that the model is given of a stretch.
      length: tokens that it is to go on with.
      most: stretches, from the beginning.
    """

    name: str
    text: Source
    prompt: int = 32
    length: int = 50
    most: int = 512

    def __post_init__(self) -> None:
        for field in ("prompt", "length", "most"):
            if getattr(self, field) < 1:
                raise ValueError(f"Recitation.{field} is {getattr(self, field)}, but must be at least 1")

    def check(self, experiment: "Experiment") -> None:
        """Raises ValueError if stretches are longer than what the model was trained on, or it is no decoder."""
        if self.prompt + self.length > experiment.batch.sequence + 1:
            raise ValueError(
                f"hooks: Recitation of {self.prompt} + {self.length} tokens, but batch.sequence is "
                f"{experiment.batch.sequence}; take fewer"
            )
        if experiment.model.both_ways or "source" in experiment.model.reads:
            kind = type(experiment.model).__name__
            raise ValueError(f"hooks: Recitation asks a decoder to go on, and model is {kind}; leave it out")

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """`eval/NAME/recited`, a share in percent, and `eval/NAME/loss`, in nats a token of the stretches.

        Raises ValueError if no document is as long as a stretch.
        """
        tokens = jnp.asarray(self.stretches(moment.prepared.tokenizer))
        graph, weights = nnx.split(moment.model())
        with active(on_every_device(moment.experiment.placement.on())):
            right, loss = jax.jit(lambda weights: followed(nnx.merge(graph, weights)(tokens[:, :-1]), tokens))(weights)
        found = {"recited": 100 * float(recited(np.asarray(right), self.prompt).mean()), "loss": float(loss)}
        return {f"eval/{self.name}/{key}": value for key, value in found.items()}

    def stretches(self, tokenizer: Tokenizer) -> Int[np.ndarray, "stretches tokens"]:
        """The stretches of all documents. Raises ValueError if there are none."""
        size, found = self.prompt + self.length, []
        for document in self.text.documents():
            tokens = np.asarray(tokenizer.encode(document.text), np.int32)
            found += list(tokens[: len(tokens) // size * size].reshape(-1, size))
            if len(found) >= self.most:
                break
        if not found:
            raise ValueError(f"hooks: Recitation of '{self.name}' finds no document of {size} tokens; ask for fewer")
        return np.stack(found[: self.most])


def recited(right: Bool[np.ndarray, "stretches after"], prompt: int) -> Bool[np.ndarray, " stretches"]:
    """Which stretches are recited after a prompt of so many tokens; `right` says it of each token but the first."""
    return right[:, prompt - 1 :].all(axis=1)


def followed(
    logits: Float[Array, "stretches before vocab"], tokens: Int[Array, "stretches tokens"]
) -> tuple[Array, Float[Array, ""]]:
    """Whether each token but the first is the likeliest after those before it, and the mean loss of all of these."""
    targets = tokens[:, 1:]
    likely = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)
    return jnp.argmax(logits, axis=-1) == targets, -jnp.mean(likely)
