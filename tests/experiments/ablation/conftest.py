"""A study in miniature, and results that are made up, so that nothing has to be trained."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes
from experiments.ablation.arm import Arm
from experiments.ablation.decision import Better
from experiments.ablation.executor import Executor
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.plan import Trial
from experiments.ablation.result import Failure, Result
from experiments.ablation.scale import Scale
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from model.attention import Attention
from model.feedforward import MLP
from model.precision import Precision
from model.transformer import TransformerConfig
from train.experiment import Batches, Cadence, Experiment
from train.optimizers import AdamW
from train.schedule import Constant

TEXT = "".join(f"{n} green bottles hanging on the wall; {n * 7919 % 1013} of them may fall.\n" for n in range(150))


@pytest.fixture
def parent(tmp_path: Path) -> Experiment:
    text = tmp_path / "bottles.txt"
    text.write_text(TEXT)
    return Experiment(
        model=TransformerConfig(
            layers=1,
            embed=16,
            vocab=257,
            attention=Attention(heads=2),
            feedforward=MLP(hidden=32),
            precision=Precision(compute="float32"),
        ),
        data=Recipe(TextFiles(str(text)), (), TailSplit(0.2), Bytes()),
        batch=Batches(sequence=32, batch=8, evaluation=16),
        optimizer=AdamW(),
        schedule=Constant(peak=1e-2),
        steps=4,
        cadence=Cadence(log=1, evaluate=2, checkpoint=2),
    )


@pytest.fixture
def study(parent: Experiment) -> Study:
    scale = Scale(parent)
    return Study(
        paper=Paper("A Paper", "Author", 2020, "arXiv:1234.56789", "Table 1"),
        hypothesis="Three is better than one, and nothing worse than one hundredth.",
        arms=(
            Arm("one", {"schedule.peak": 1e-1}, PaperNumber(1.0, "Table 1", 0.1)),
            Arm("three", {"schedule.peak": 3e-1}, PaperNumber(0.8, "Table 1")),
            Arm("bad", {"schedule.peak": 1e-2}),
        ),
        metric=Lower("eval/loss", "nats"),
        claim=Better(names=("three",), than=("one",)),
        control=Better(names=("one",), than=("bad",)),
        scales={"cpu": scale, "gpu": scale, "paper": scale},
    )


def made_up(trial: Trial, loss: float) -> Result:
    """A result with this loss, and a curve that goes down to it."""
    series = {"eval/loss": [(2, loss + 1.0), (4, loss)], "train/loss": [(4, loss)]}
    environment = {"python": "3", "devices": ["1 x cpu"]}
    return Result(trial.address, series, 4, 1024, 5000, 1e6, {"steps": 2.0, "other": 1.0}, environment)


@dataclasses.dataclass
class MadeUp(Executor):
    """Makes runs up by a function of the trial; raises what it raises after those before are stored."""

    loss: Callable[[Trial], float | str]
    ran: list[str] = dataclasses.field(default_factory=list)

    def run(self, trials: Sequence[Trial], store: Store) -> Iterator[tuple[Trial, Result | Failure]]:
        for trial in trials:
            self.ran.append(str(trial))
            loss = self.loss(trial)
            if isinstance(loss, str):
                yield trial, Failure(trial.address, loss)
                continue
            result = made_up(trial, loss)
            store.enter(trial)
            result.write(store.folder(trial.address) / "result.json")
            yield trial, result

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def executor() -> type[MadeUp]:
    return MadeUp


def by_arm(trial: Trial) -> float:
    """A loss that bears the study out, a little other for each seed."""
    return {"one": 2.0, "three": 1.0, "bad": 3.0}[trial.arm] + 0.01 * (trial.request.seed % 7)


@pytest.fixture
def honest() -> Callable[[Trial], float]:
    return by_arm
