"""Citations, and numbers that are refused without one."""

import math

import pytest

from experiments.ablation.paper import Paper, PaperNumber


def test_papers_are_cited() -> None:
    paper = Paper("A Title", "Author", 2020, "arXiv:2002.05202", "Table 1")
    assert str(paper) == "Author (2020), A Title, arXiv:2002.05202, Table 1"
    assert paper.link == "https://arxiv.org/abs/2002.05202"
    assert Paper("T", "A", 2020, "doi:10.1/x", "1").link == "https://doi.org/10.1/x"
    assert Paper("T", "A", 2020, "blog, May", "1").link == ""


@pytest.mark.parametrize("field", ["title", "authors", "identifier", "table"])
def test_papers_say_what_they_are(field: str) -> None:
    values = {"title": "T", "authors": "A", "year": 2020, "identifier": "arXiv:1", "table": "1"}
    with pytest.raises(ValueError, match=f"Paper.{field} is empty"):
        Paper(**values | {field: " "})


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((1.5, ""), "the paper's number 1.5 has no source"),
        ((1.5, "  "), "has no source"),
        ((1.5, "Table 3 [UNVERIFIED]"), "is unverified"),
        ((math.nan, "Table 3"), "no finite number"),
        ((1.5, "Table 3", -1.0), "no finite number"),
    ],
)
def test_numbers_without_a_source_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PaperNumber(*arguments)


def test_numbers_are_told_with_their_deviation() -> None:
    assert str(PaperNumber(1.942, "Table 1", 0.004)) == "1.942 ± 0.004" and str(PaperNumber(2.0, "Table 1")) == "2"
