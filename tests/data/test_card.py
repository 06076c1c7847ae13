"""The card says what was counted, in both forms, and no text of a corpus gets out of its place."""

import html
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.card import card_html, card_markdown
from data.curation import Clean, DocumentTransform, ExactDeduplicate, MinLength, Skip, Verdict
from data.curation.curation import Curation, Statement
from data.curation.engine import curate
from data.document import Document
from data.sources import JsonLines
from data.table import Table

EVIL = "<script>alert(1)</script> | a `b` [c](d) **e**"


@dataclass(frozen=True)
class Counted(DocumentTransform):
    """Counts letters, and tells of them in a table."""

    SECTION = "Letters"

    def start(self) -> object:
        return lambda document: Verdict(document, tallies={"x": document.text.count("x")})

    def tables(self, report: dict) -> tuple[Table, ...]:
        return (Table("Letters of all", ("Letter", "Times"), (("x", report["tallies"]["x"]),), bars="Times"),)


def card(tmp_path: Path) -> tuple[str, str]:
    texts = [EVIL, EVIL, "xx and a text that is long enough", "short", "caf\u00e9 x, a text that is long enough"]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n{broken\n")
    source = JsonLines(tmp_path / "in.jsonl", licence="CC0-1.0", language="en")
    statement = Statement("For *tests*.", "Everything else.")
    transforms = (Clean(), MinLength(10), ExactDeduplicate(), Counted())
    curate(Curation(source, transforms, Skip(0.5), statement), tmp_path / "out", 1, lambda line: None)
    return (tmp_path / "out" / "data_card.html").read_text(), (tmp_path / "out" / "data_card.md").read_text()


class Texts(HTMLParser):
    """The visible cells and paragraphs of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.append(data.strip())


def test_both_forms_say_what_was_counted(tmp_path: Path) -> None:
    page, text = card(tmp_path)
    cells = Texts(page).found
    lines = [[re.sub(r"\\(.)", r"\1", c).strip() for c in re.split(r"(?<!\\)\|", line)] for line in text.splitlines()]
    for row in (
        ["CC0-1.0", "5", "165", "3", "114", "100.000"],
        ["MinLength", "5", "0", "1", "0", "164", "159", "20.000"],
        ["ExactDeduplicate", "4", "0", "1", "0", "159", "113", "25.000"],
        ["duplicate document", "1"],
        ["not JSON", "1"],
        ["x", "5"],
    ):
        start = [i for i, cell in enumerate(cells) if cells[i : i + len(row)] == row]
        assert start, row
        assert any(line[1 : 1 + len(row)] == row for line in lines), row
    for heading in ("Intended use", "Gaps", "Rules", "Duplicates", "Letters", "Hashes", "Recipe", "Versions"):
        assert heading in cells and f"## {heading}" in text
    assert "For *tests*." in cells and r"For \*tests\*." in text


def test_text_of_the_corpus_stays_text(tmp_path: Path) -> None:
    page, text = card(tmp_path)
    assert "script" not in Texts(page).tags and EVIL in Texts(page).found
    assert html.escape(EVIL) in page
    assert r"\<script\>alert(1)\</script\> \| a \`b\` \[c\](d) \*\*e\*\*" in text


@given(cell=st.text(max_size=20))
def test_a_cell_is_one_cell(cell: str) -> None:
    made = {
        "recipe": {"type": "Curation", "statement": None},
        "source": "s", "versions": {}, "shards": [],
        "curation": {"collected": [], "kept": [], "bad": {cell: 7}, "bad_samples": [], "transforms": []},
    }  # fmt: skip
    [line] = [line for line in card_markdown(made).splitlines() if line.endswith(" | 7 |")]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3
    assert card_html(made).count('<td class="number">7</td>') == 1


def test_a_table_is_whole() -> None:
    table = Table("t", ("a", "b"), (("x", 1.5), ("y", None)), bars="b", shaded=("b",), note="n")
    assert Table.from_json(table.to_json()) == table
    with pytest.raises(ValueError, match="has 2 columns, but a row is"):
        Table("t", ("a", "b"), (("x",),))
    with pytest.raises(ValueError, match="has no column 'c'; it has a, b"):
        Table("t", ("a", "b"), (), bars="c")


def test_documents_of_other_kinds_do_not_matter() -> None:
    assert Counted().start()(Document("xx", "i", "s")).tallies == {"x": 2}
