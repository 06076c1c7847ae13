"""docs/continuing.md: each command is one that the programs take, and asks for what the text says."""

import inspect
import re
import shlex
from pathlib import Path

import jax.numpy as jnp
import pytest

from data.targets import NextToken, PrefixLM
from experiments import cli
from train.experiment import Experiment
from train.load import load_experiment
from train.schedule import Schedule
from train.start import Branch, FromRun

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "continuing.md").read_text()
COMMANDS = [shlex.split(code.replace("\\\n", " ")) for code in re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL)]


def asked(run: str) -> Experiment:
    """The experiment that the command for a run asks for."""
    (words,) = (words for words in COMMANDS if f"--run={run}" in words and "train" in words)
    changes = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    (config,) = (word.removeprefix("--config=") for word in words if word.startswith("--config="))
    return load_experiment(config, changes)[1]


def test_every_command_is_known() -> None:
    modules = [words[words.index("-m") + 1] for words in COMMANDS]
    assert modules == ["train"] * 5 + ["experiments.average"] and set(modules) <= set(cli.VERBS.values())


def test_the_branch_has_the_rates_of_its_trunk_until_it_leaves() -> None:
    trunk, branch = asked("runs/trunk"), asked("runs/branch_300")
    assert isinstance(branch.start, Branch) and branch.start.step % trunk.cadence.checkpoint == 0
    assert trunk.cadence.keep.latest * trunk.cadence.checkpoint >= trunk.steps
    before, here = (e.schedule.over(e.steps) for e in (trunk, branch))
    assert (before(jnp.arange(240)) == here(jnp.arange(240))).all()
    assert here(jnp.array(branch.steps - 1)) < 1e-4


def test_seven_in_ten_rows_are_new() -> None:
    continued = asked("runs/continued")
    assert isinstance(continued.start, FromRun)
    assert [part.name for part in continued.data.parts] == ["old", "new"]
    assert continued.data.parts[1].weight.share == pytest.approx(0.7)


def test_one_config_has_two_stages() -> None:
    staged = asked("runs/staged")
    before = staged.start.before(staged)
    assert (before.steps, before.batch.targets) == (100, PrefixLM())
    assert (staged.steps, staged.batch.targets) == (50, NextToken())


def test_the_batch_grows() -> None:
    assert [asked("runs/grown").batch.growth.factor(step) for step in (0, 100, 479)] == [1, 2, 4]


def test_the_table_names_every_schedule() -> None:
    def below(base: type) -> set[type]:
        return {base} | {cls for child in base.__subclasses__() for cls in below(child)}

    own = (cls for cls in below(Schedule) if cls.__module__.startswith("train."))
    ours = {cls.__name__ for cls in own if not inspect.isabstract(cls)}
    assert set(re.findall(r"^\| `(\w+)\(", TEXT, flags=re.MULTILINE)) == ours
