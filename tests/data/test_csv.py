"""Tables of text against the library's own reader, and what is wrong with a row."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources import BadRecord, Csv, Source
from data.spec import build, describe


def records(source: Source) -> list:
    return [record for shard in source.shards() for record in source.read(shard)]


cells = st.text(st.sampled_from('ab \n,"\t\u00e9'), max_size=8)


@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=8), delimiter=st.sampled_from([",", "\t", ";"]))
def test_rows_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("text", "x", "lang"), *rows])
    found = records(Csv(path, delimiter=delimiter, language_field="lang", language="en"))
    assert [(d.text, d.meta["x"], d.language) for d in found] == [(t, x, lang.strip() or "en") for t, x, lang in rows]
    text = path.read_text()
    for document in found:
        # An id names the line that the row begins in.
        line = int(document.id.rpartition(":")[2])
        rest = io.StringIO("".join(text.splitlines(keepends=True)[line - 1 :]), newline="")
        assert next(csv.reader(rest, delimiter=delimiter))[0] == document.text


def test_a_table_without_header_or_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b'it is 5" wide\t1\n"a\t0\n'))
    source = Csv(tmp_path, text_field="sentence", delimiter="\t", quote=None, header=("sentence", "label"))
    assert [(d.text, d.id, dict(d.meta)) for d in records(source)] == [
        ('it is 5" wide', "a.tsv.gz:1", {"label": "1"}),
        ('"a', "a.tsv.gz:2", {"label": "0"}),
    ]
    assert describe(build(describe(source), Source)) == describe(source)


def test_bad_rows_are_counted_and_passed(tmp_path: Path) -> None:
    rows = [b"\xef\xbb\xbfid,text", b"1,one", b"2", b"3,a,b", b"", b"4,caf\xe9", b'5,"x"y']
    rows += [b"6," + b"z" * 90, b"7,last"]
    (tmp_path / "a.csv").write_bytes(b"\n".join(rows))
    found = records(Csv(tmp_path, id_field="id", longest=80))
    assert [r.id if not isinstance(r, BadRecord) else (r.problem, r.place[-7:]) for r in found] == [
        "1",
        ("ragged row", "a.csv:3"),
        ("ragged row", "a.csv:4"),
        ("not UTF-8", "a.csv:6"),
        ("not CSV", "a.csv:7"),
        ("too long", "a.csv:8"),
        "7",
    ]
    bad = [r.message for r in found if isinstance(r, BadRecord)]
    assert bad[0].endswith("a.csv:3 has 1 values, but the header names 2 columns")
    # The bytes of a row are counted with the end of its line.
    assert "byte 5 is 0xe9" in bad[2] and "has 93 bytes or more, but at most 80" in bad[4]


def test_a_quote_that_is_never_closed_ends_at_the_bound(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'text,n\none,1\n"two,2\n' + b"x,3\n" * 30 + b"last,4\n")
    first, bad, *rest = records(Csv(tmp_path, longest=40))
    assert first.text == "one" and (bad.problem, bad.place) == ("too long", f"{tmp_path}/a.csv:3")
    assert rest[-1].text == "last" and not [r for r in rest if isinstance(r, BadRecord)]
    # Without the bound, it takes all that follows with it, and says so.
    first, bad = records(Csv(tmp_path))
    assert bad.problem == "not CSV" and bad.place.endswith(":3")


def test_values_longer_than_the_library_takes_unasked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n")
    assert [len(d.text) for d in Csv(tmp_path).documents()] == [200_000]


@pytest.mark.parametrize(
    ("header", "problem", "message"),
    [
        ("body,n", "no such column", r"a.csv:1 has no column 'text'; it has body, n"),
        ("text,n,n", "column named twice", r"a.csv:1 names the column 'n' twice"),
    ],
)
def test_headers_are_checked(tmp_path: Path, header: str, problem: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n1,2,3\n")
    (bad,) = records(Csv(tmp_path))
    assert bad.problem == problem
    with pytest.raises(ValueError, match=message):
        list(Csv(tmp_path).documents())


def test_a_delimiter_is_one_character() -> None:
    with pytest.raises(ValueError, match="delimiter is '::', but must be one character within a line"):
        Csv("a", delimiter="::")
