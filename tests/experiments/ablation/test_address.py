"""Addresses change with what a run learns, and with nothing else."""

import dataclasses
from pathlib import Path

import pytest

from data.sources import TextFiles
from experiments.ablation import address as module
from experiments.ablation.address import address, code_version, config_part, modules
from train.experiment import Experiment, derive


def test_the_same_run_has_the_same_address(parent: Experiment, tmp_path: Path) -> None:
    same = derive(dataclasses.replace(parent), seed=0)
    assert address(same) == address(parent) and same.parent is not None
    (tmp_path / "elsewhere").mkdir()
    elsewhere = tmp_path / "elsewhere" / "bottles.txt"
    elsewhere.write_text((tmp_path / "bottles.txt").read_text())
    moved = dataclasses.replace(parent, data=dataclasses.replace(parent.data, source=TextFiles(str(elsewhere))))
    assert address(moved) == address(parent)


def test_another_run_has_another(parent: Experiment, tmp_path: Path) -> None:
    others = [dataclasses.replace(parent, seed=1), dataclasses.replace(parent, steps=5)]
    text = tmp_path / "other.txt"
    text.write_text("Other text.\n" * 300)
    others.append(dataclasses.replace(parent, data=dataclasses.replace(parent.data, source=TextFiles(str(text)))))
    assert len({address(each) for each in (parent, *others)}) == 4
    assert len({config_part(address(each)) for each in (parent, *others)}) == 4


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own: train.loop imports model.a lazily, and model.b lies beside it."""
    for room in ("train", "model"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / "train" / "loop.py").write_text("def train():\n    from model import a\n    return a\n")
    (tmp_path / "model" / "a.py").write_text('"""Doc."""\nx = 1\n')
    (tmp_path / "model" / "b.py").write_text("y = 1\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def version(*types: str) -> str:
    code_version.cache_clear()
    module._read.cache_clear()
    return code_version(types)


def test_only_code_that_runs_counts(tree: Path) -> None:
    before = version()
    (tree / "model" / "a.py").write_text('"""Another docstring."""\n\n# A comment.\nx  =  1\n')
    assert version() == before
    (tree / "model" / "b.py").write_text("y = 2\n")
    assert version() == before and version("model.b") != before
    (tree / "model" / "a.py").write_text("x = 2\n")
    assert version() != before
    changed = version()
    (tree / "model" / "__init__.py").write_text("z = 1\n")
    assert version() != changed
    code_version.cache_clear()


def test_types_of_a_config_are_found(parent: Experiment) -> None:
    found = modules(parent)
    assert {"model.feedforward", "train.optimizers.adamw", "data.tokenizers.byte", "train.experiment"} <= set(found)
