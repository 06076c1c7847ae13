"""A tiny experiment of which chosen batches have a loss that is not a number, and runs of it in this process."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from data.curation import Clean
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.checkpoint import Checkpoints
from train.digest import batch_digest
from train.experiment import Batches, Cadence, Experiment
from train.loop import train
from train.objective import Batch, CausalLM, Sums
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.safety import Safety
from train.schedule import WarmupCosine
from train.state import TrainState

STEPS = 20


@dataclasses.dataclass(frozen=True)
class Spoilt(CausalLM):
    """The loss of batches with these digests is NaN."""

    digests: tuple[int, ...] = ()

    def sums(self, model: Any, batch: Batch, dropout_key: Array | None) -> Sums:
        """As of a causal model, but spoilt."""
        found = super().sums(model, batch, dropout_key)
        bad = jnp.isin(batch_digest(batch), jnp.array(self.digests, jnp.uint32))
        return found._replace(loss=jnp.where(bad, jnp.nan, found.loss))


def experiment(directory: Path, digests: tuple[int, ...] = (1, 2, 3), **changes: Any) -> Experiment:
    """The experiment. By default no batch has any of the digests."""
    words = "the quick brown fox jumps over the lazy dog while seven wizards quietly box".split()
    text = directory / "text.txt"
    if not text.exists():
        text.write_text("\n".join(" ".join(words[(i * j) % len(words)] for j in range(1, 9)) for i in range(200)))
    made = Experiment(
        model=TransformerConfig(
            layers=1, embed=8, vocab=257, attention=Attention(heads=1), feedforward=MLP(8),
            precision=Precision(compute="float32"), dropout=0.1,
        ),
        data=Recipe(TextFiles(str(text)), transforms=(Clean(),), split=TailSplit(0.1), tokenizer=Bytes()),
        batch=Batches(sequence=16, batch=8), optimizer=AdamW(), schedule=WarmupCosine(1e-2, 5), steps=STEPS,
        objective=Spoilt(digests=digests), safety=Safety(patience=3),
        cadence=Cadence(log=2, evaluate=STEPS, checkpoint=4), seed=3,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def go(what: Experiment, path: Path) -> tuple[RunDirectory, list[str]]:
    """Runs it; gives where, and what was said."""
    said: list[str] = []
    run = RunDirectory(path)
    train(what, run, say=said.append)
    return run, said


def final(run: RunDirectory, step: int = STEPS) -> list[bytes]:
    """The numbers of a checkpoint."""
    import orbax.checkpoint as ocp

    tree = ocp.StandardCheckpointer().restore(run.checkpoints / str(step) / "state")
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def crashing(step: int) -> Any:
    """In place of `Checkpoints.save`: dies at a step, before anything is saved."""
    save = Checkpoints.save

    def dying(self: Checkpoints, state: TrainState, *rest: Any) -> dict[str, float]:
        if int(state.step) == step:
            # What was being written is whole by then: which save is the last one must not depend on the disk.
            self._manager.wait_until_finished()
            raise RuntimeError("killed")
        return save(self, state, *rest)

    return dying
