"""Files that are found by name."""

from pathlib import Path

import pytest

from data.console import UsageError
from data.user_code import LOADED, Catalogue

RECIPES = Catalogue("data.recipes", "recipe")


def test_names_are_those_of_the_files() -> None:
    folder = Path(__file__).resolve().parents[2] / "data" / "recipes"
    assert RECIPES.names() == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert RECIPES.module("web").__name__ == "data.recipes.web"


def test_a_file_is_given_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("ANSWER = 42\n")
    assert RECIPES.module(str(tmp_path / "mine.py")).ANSWER == 42
    assert LOADED.pop() == str(tmp_path / "mine.py")


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="^there is no recipe 'webb'; did you mean web.; there are python_docs, web,"):
        RECIPES.module("webb")
    with pytest.raises(UsageError, match="none.py is no file"):
        RECIPES.module(str(tmp_path / "none.py"))
