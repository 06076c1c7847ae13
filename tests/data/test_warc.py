"""Web archives made here record by record, by the standard (ISO 28500), and read back."""

import gzip
from pathlib import Path

import pytest

from data.sources import BadRecord, HtmlFiles, Source, Warc
from data.spec import build, describe

PAGE = b"<html><body>one \xc3\xa9</body></html>"


def records(source: Source) -> list:
    return [record for shard in source.shards() for record in source.read(shard)]


def record(kind: str, number: int, block: bytes, *more: str, length: int | None = None) -> bytes:
    header = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{number}>",
        f"WARC-Target-URI: http://example.org/{number}",
        "WARC-Date: 2024-05-01T12:00:00Z",
        f"Content-Length: {len(block) if length is None else length}",
        *more,
    ]
    return "\r\n".join([*header, "", ""]).encode() + block + b"\r\n\r\n"


def response(number: int, body: bytes, *headers: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    http = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers, "", ""]
    block = "\r\n".join(http).encode("latin-1") + body
    return record("response", number, block, "Content-Type: application/http;msgtype=response")


def crawl() -> list[bytes]:
    return [
        record("warcinfo", 0, b"software: x\r\n", "Content-Type: application/warc-fields"),
        record("request", 1, b"GET / HTTP/1.1\r\n\r\n", "Content-Type: application/http;msgtype=request"),
        response(2, PAGE, kind="text/html; charset=utf-8"),
        response(3, b"moved", status="301 Moved Permanently"),
        response(4, b"\xff\xd8\xff", kind="image/jpeg"),
        response(5, gzip.compress(PAGE), "Content-Encoding: gzip"),
        response(6, b"stra\xdfe und m\xe4dchen, sch\xf6n", kind="text/plain; charset=iso-8859-1"),
        response(7, PAGE, kind="application/xhtml+xml"),
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pages_are_documents(tmp_path: Path, pack: object) -> None:
    name = "a.warc" if pack is bytes else "a.warc.gz"
    (tmp_path / name).write_bytes(b"".join(map(pack, crawl())))
    source = Warc(tmp_path, licence="unknown", language="en")
    found = records(source)
    assert [d.id for d in found] == [f"urn:uuid:{n}" for n in (2, 5, 6, 7)]
    page = PAGE.decode()
    assert [d.text for d in found] == [page, page, "stra\xdfe und m\xe4dchen, sch\xf6n", page]
    assert found[0].meta == {
        "content_type": "text/html",
        "url": "http://example.org/2",
        "date": "2024-05-01T12:00:00Z",
        "encoding": "utf-8",
    }
    assert {d.language for d in found} == {"en"}
    assert [d.id for d in records(Warc(tmp_path, content_types=("text/plain",)))] == ["urn:uuid:6"]
    assert describe(build(describe(source), Source)) == describe(source)


def test_texts_of_a_wet_file(tmp_path: Path) -> None:
    def text(number: int, words: str, *more: str) -> bytes:
        return gzip.compress(record("conversion", number, words.encode(), "Content-Type: text/plain", *more))

    found = [
        text(1, "ein Satz \u00e4", "WARC-Identified-Content-Language: deu,eng"),
        text(2, "a sentence", "WARC-Identified-Content-Language: ceb"),
        text(3, "words", "WARC-Truncated: length"),
    ]
    (tmp_path / "a.warc.wet.gz").write_bytes(b"".join(found))
    one, two, three = records(Warc(tmp_path))
    assert (one.text, one.language, one.meta["languages"]) == ("ein Satz \u00e4", "de", ["de", "en"])
    assert (two.language, "languages" in two.meta) == ("ceb", False)
    assert (three.language, three.meta["truncated"], three.meta["content_type"]) == ("unknown", "length", "text/plain")


def test_bad_records_cost_no_other(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(30 << 20))
    parts = [
        response(1, PAGE),
        response(2, b"x" * 60_000),
        response(3, bomb, "Content-Encoding: gzip"),
        response(4, gzip.compress(PAGE)[:-9], "Content-Encoding: gzip"),
        response(5, PAGE, "Content-Encoding: rot13"),
        record("response", 6, b"no HTTP", "Content-Type: application/http;msgtype=response"),
        response(7, PAGE + b"\xff", kind="text/html; charset=utf-8"),
    ]
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(parts))
    found = records(Warc(tmp_path, longest=50_000))
    assert [r.problem if isinstance(r, BadRecord) else r.id for r in found] == [
        "urn:uuid:1",
        "too long",
        "too long",
        "damaged page",
        "unknown content encoding",
        "no HTTP response",
        "urn:uuid:7",
    ]
    assert found[1].message.startswith(f"{path}, record 2 (http://example.org/2) has 60,000 bytes")
    assert f"unpacks from {len(bomb):,} bytes to more than 50,000" in found[2].message
    assert found[6].meta["replaced"] == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_cut_anywhere_says_so(tmp_path: Path, pack: object) -> None:
    """A cut between records makes a shorter archive; no other goes unseen, and no record before it is lost."""
    parts = list(map(pack, crawl()))
    whole = b"".join(parts)
    ends = [sum(map(len, parts[: i + 1])) for i in range(len(parts))]
    documents = [2, 5, 6, 7]
    path = tmp_path / ("a.warc" if pack is bytes else "a.warc.gz")
    for cut in range(ends[0] + 1, len(whole), 7):
        if cut in ends:
            continue
        path.write_bytes(whole[:cut])
        *found, bad = records(Warc(tmp_path))
        assert isinstance(bad, BadRecord) and bad.problem in ("truncated archive", "damaged file"), cut
        whole_ones = sum(ends[n] <= cut for n in documents)
        # One more when only the end of its record is missing.
        assert whole_ones <= len(found) <= whole_ones + 1
        assert [d.id for d in found] == [f"urn:uuid:{n}" for n in documents[: len(found)]]


def test_junk_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"hello world\n" * 50)
    (bad,) = records(Warc(tmp_path))
    assert bad.problem == "damaged file" and bad.message.startswith(f"{tmp_path}/a.warc is given up after 0 records")


def test_html_files(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(PAGE)
    (tmp_path / "b.html.gz").write_bytes(gzip.compress('<meta charset="koi8-r">\u0434\u0430'.encode("koi8-r")))
    (tmp_path / "c.html.gz").write_bytes(gzip.compress(bytes(30 << 20)))
    one, two, bad = records(HtmlFiles(tmp_path, language="ru", longest=1000))
    assert (one.id, one.text, one.language) == ("a.html", PAGE.decode(), "ru")
    assert one.meta == {"content_type": "text/html", "encoding": "utf-8"}
    assert two.text == '<meta charset="koi8-r">\u0434\u0430' and two.meta["encoding"] == "koi8-r"
    assert bad.problem == "too long" and bad.place.endswith("c.html.gz")
