"""A table is written into its place, and nowhere else."""

from pathlib import Path

import pytest

from data.console import UsageError
from experiments.document import END, Place, table

PLACE = Place("python -m something")
BEGIN = "<!-- table: python -m something -->"


@pytest.mark.parametrize("document", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{END}"])
def test_a_document_without_a_place(document: str) -> None:
    with pytest.raises(ValueError, match="^here has no place for the table: a line "):
        PLACE.inserted(document, "x", "here")


def test_what_stands_around_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    PLACE.write(path, "new")
    assert path.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(UsageError, match="none.md is no file"):
        PLACE.write(tmp_path / "none.md", "new")


def test_names_stand_left_and_numbers_right() -> None:
    assert table(("name", "n"), [("a", "10"), ("long name", "7")], left=1).splitlines() == [
        "| name      |  n |",
        "|-----------|---:|",
        "| a         | 10 |",
        "| long name |  7 |",
    ]
