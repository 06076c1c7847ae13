"""What a model recites, against decoding token by token; and a model that has learnt one text by heart."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from data.tokenizers.byte import ByteTokenizer
from experiments.recitation import Recitation, followed, recited
from model.attention import Attention
from model.decoding import generate
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.loop import train
from train.optimizers import AdamW
from train.run_directory import RunDirectory
from train.schedule import Constant

MODEL = TransformerConfig(
    layers=1, embed=32, vocab=257, attention=Attention(heads=2), feedforward=MLP(hidden=64),
    precision=Precision(compute="float32"),
)  # fmt: skip


def test_one_pass_tells_what_greedy_decoding_would_give() -> None:
    model = DecoderLM(MODEL, nnx.Rngs(0))
    prompts = np.random.default_rng(0).integers(0, 256, (8, 5))
    made = generate(model, prompts.tolist(), new_tokens=6)
    texts = np.concatenate([prompts, np.array(made)], axis=1).astype(np.int32)
    # Every other text goes on with another token, the first after the prompt among them.
    texts[::4, 5] = (texts[::4, 5] + 1) % 256
    texts[2::4, 8] = (texts[2::4, 8] + 1) % 256
    right, loss = followed(model(jnp.asarray(texts[:, :-1])), jnp.asarray(texts))
    assert recited(np.asarray(right), 5).tolist() == [False, True] * 4
    logits = np.asarray(model(jnp.asarray(texts[:, :-1])), np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    assert float(loss) == pytest.approx(-np.take_along_axis(logs, texts[:, 1:, None], -1).mean(), rel=1e-5)


def test_what_comes_after_the_prompt_counts_and_nothing_before() -> None:
    # Of tokens 1 to 5; the prompt are the tokens 0 to 2.
    right = np.array([[0, 0, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 0], [1, 0, 1, 1, 1]], bool)
    assert recited(right, 3).tolist() == [True, False, False, True]


def written(path: Path, text: str) -> TextFiles:
    path.write_text(text)
    return TextFiles(str(path))


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    learnt = "The quick brown fox jumps over the lazy dog. "
    return Experiment(
        model=MODEL,
        data=Recipe(written(tmp_path / "learnt.txt", learnt * 60), (), TailSplit(0.2), Bytes()),
        batch=Batches(sequence=32, batch=8, evaluation=16),
        optimizer=AdamW(decay=0.0),
        schedule=Constant(peak=1e-2),
        steps=60,
        cadence=Cadence(log=20, evaluate=30, checkpoint=60),
        hooks=(
            Recitation("learnt", written(tmp_path / "again.txt", learnt * 3), prompt=16, length=16),
            Recitation("other", written(tmp_path / "other.txt", "Zwei mal drei " * 9), prompt=16, length=16),
        ),
    )


def test_a_text_that_was_learnt_by_heart_is_recited_and_another_is_not(experiment: Experiment, tmp_path: Path) -> None:
    told: list[dict] = []

    @dataclasses.dataclass(frozen=True)
    class Kept(type(experiment.hooks[0])):
        def after_evaluation(self, moment):
            told.append(dict(found := super().after_evaluation(moment)))
            return found

    hooks = tuple(Kept(**{f.name: getattr(h, f.name) for f in dataclasses.fields(h)}) for h in experiment.hooks)
    train(dataclasses.replace(experiment, hooks=hooks), RunDirectory(tmp_path / "run"))
    learnt, other = told[-2:]
    assert learnt["eval/learnt/recited"] == 100.0 and learnt["eval/learnt/loss"] < 0.2
    assert other["eval/other/recited"] == 0.0 and other["eval/other/loss"] > 2.0


def test_stretches(experiment: Experiment) -> None:
    hook, tokenizer = experiment.hooks[0], ByteTokenizer()
    found = hook.stretches(tokenizer)
    text = "The quick brown fox jumps over the lazy dog. " * 3
    assert bytes(found.ravel().tolist()).decode() == text[: len(text) // 32 * 32]
    assert len(dataclasses.replace(hook, most=2).stretches(tokenizer)) == 2
    with pytest.raises(ValueError, match="no document of 1016 tokens"):
        dataclasses.replace(hook, length=1000).stretches(tokenizer)


def test_what_cannot_be_asked(experiment: Experiment) -> None:
    with pytest.raises(ValueError, match="Recitation.prompt is 0"):
        dataclasses.replace(experiment.hooks[0], prompt=0)
    with pytest.raises(ValueError, match=r"Recitation of 16 \+ 40 tokens, but batch.sequence is 32"):
        dataclasses.replace(experiment, hooks=(dataclasses.replace(experiment.hooks[0], length=40),))
