"""What a document of a text file is, against Python's own ways to split a string."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import Transform
from data.sources import BadRecord, Delimiter, Lines, Paragraphs, Source, TextFiles, WholeFile
from data.sources.streams import TooLong
from data.sources.text_units import TextUnit
from data.spec import build, describe, override

texts = st.text(st.sampled_from("ab \n|\u00e9"), max_size=60)


def divided(unit: TextUnit, text: str, longest: int = 1 << 20) -> list[tuple[str, str]]:
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    return [(where, raw.decode()) for where, raw in unit.divide(stream, longest)]


@given(text=texts)
def test_units_are_those_of_a_split(text: str) -> None:
    rows = text.split("\n")
    assert divided(WholeFile(), text) == [("", text)]
    assert divided(Lines(), text) == [(f":{i}", row) for i, row in enumerate(rows, 1) if row.strip()]
    for mark in ("|", "ab", "\n\n", "\u00e9"):
        parts = text.split(mark)
        assert divided(Delimiter(mark), text) == [(f":{i}", part) for i, part in enumerate(parts, 1) if part.strip()]


@given(text=texts)
def test_paragraphs_are_what_blank_lines_part(text: str) -> None:
    found = divided(Paragraphs(), text)
    wanted = [part for part in re.split(r"(?:^|\n)(?:[ \n]*\n)", f"\n{text}") if part.strip()]
    # A blank last line has no end to be split at.
    wanted = [re.sub(r"\n *$", "", part) for part in wanted]
    assert [part for _, part in found] == wanted
    rows = text.split("\n")
    for where, part in found:
        first = int(where[1:]) - 1
        assert "\n".join(rows[first : first + part.count("\n") + 1]) == part


@given(text=texts, longest=st.integers(1, 10), unit=st.sampled_from([Lines(), Delimiter("|"), Delimiter("ab")]))
def test_what_is_too_long_costs_no_other_document(text: str, longest: int, unit: TextUnit) -> None:
    stream = io.BufferedReader(io.BytesIO(text.encode()))
    found = dict(unit.divide(stream, longest))
    for where, part in divided(unit, text):
        size = len(part.encode())
        if size <= longest:
            assert found.pop(where) == part.encode()
        else:
            assert isinstance(found.pop(where), TooLong)
    assert all(isinstance(part, TooLong) for part in found.values())


def test_delimiters_across_blocks(tmp_path: Path) -> None:
    block = 1 << 20
    mark = "<|end|>"
    # The second delimiter lies across the end of a block; the third part is longer than is read.
    parts = ["a" * (block - 10), "b" * (block - 8), "c" * (3 * block), "d"]
    (tmp_path / "a.txt").write_text(mark.join(parts))
    source = TextFiles(tmp_path, by=Delimiter(mark), longest=block)
    (shard,) = source.shards()
    first, second, third, fourth = source.read(shard)
    assert (first.text, second.text, fourth.text) == (parts[0], parts[1], parts[3])
    assert fourth.id == "a.txt:4"
    assert isinstance(third, BadRecord) and f"a.txt:3 has {3 * block:,} bytes" in third.message
    assert third.excerpt == "c" * 200


def test_paragraphs_too_long(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n" + b"long line\n" * 20 + b"\nlast\n")
    source = TextFiles(tmp_path, by=Paragraphs(), longest=50)
    (shard,) = source.shards()
    first, second, third = source.read(shard)
    assert (first.text, third.text, third.id) == ("one", "last", "a.txt:24")
    assert second.problem == "too long" and "a.txt:3 has 200 bytes" in second.message


def test_a_bad_line_is_one_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\ncaf\xe9\n\nthree\r\n")
    source = TextFiles(tmp_path, by=Lines())
    (shard,) = source.shards()
    one, bad, three = source.read(shard)
    assert (one.text, one.id, three.text, three.id) == ("one", "a.txt:1", "three", "a.txt:4")
    assert (bad.problem, bad.place, bad.excerpt) == ("not UTF-8", f"{tmp_path}/a.txt:2", "caf\ufffd")


def test_units_are_specs() -> None:
    source = TextFiles("a", by=Delimiter("\n\n"))
    assert build(describe(source), Source) == source
    assert override(source, ["by=Paragraphs()"]).by == Paragraphs()
    assert not issubclass(TextUnit, Transform)
    with pytest.raises(ValueError, match="a delimiter is a string of at least one character"):
        Delimiter("")
