"""The bytes of web pages: how they were packed, and in what encoding."""

import gzip
import tracemalloc
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources.page import PageError, read_page, unpack

GERMAN = "<html><body>Stra\u00dfe, M\u00e4dchen und \u00dcbermut sind W\u00f6rter, sch\u00f6n zu lesen</body></html>"
PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "identity": bytes,
}


def raw_deflate(raw: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(raw) + packing.flush()


def chunked(raw: bytes, size: int) -> bytes:
    parts = [raw[i : i + size] for i in range(0, len(raw), size)]
    return b"".join(b"%x;name=value\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@given(raw=st.binary(max_size=300), name=st.sampled_from(sorted(PACKERS)), size=st.integers(1, 50), sent=st.booleans())
def test_what_was_packed_is_unpacked(raw: bytes, name: str, size: int, sent: bool) -> None:
    packed = PACKERS[name](raw)
    if sent:
        assert unpack(chunked(packed, size), "Chunked", name.upper(), 300) == raw
    else:
        assert unpack(packed, None, name, 300) == raw


def test_packed_twice_and_without_a_header() -> None:
    assert unpack(gzip.compress(brotli.compress(b"page")), "", "br, gzip", 100) == b"page"
    assert unpack(raw_deflate(b"page" * 50), None, "deflate", 200) == b"page" * 50


@pytest.mark.parametrize("transfer", ["chunked", None])
@pytest.mark.parametrize("content", ["gzip", None])
def test_headers_that_speak_of_what_a_crawler_undid(transfer: str | None, content: str | None) -> None:
    assert unpack(GERMAN.encode(), transfer, content, 1000) == GERMAN.encode()


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_a_bomb_is_no_page(name: str) -> None:
    bomb = PACKERS[name](bytes(10 << 20))
    tracemalloc.start()
    with pytest.raises(PageError, match="to more than 1,000; set longest to read it") as caught:
        unpack(bomb, None, name, 1000)
    assert caught.value.problem == "too long" and len(bomb) < 100_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("raw", "transfer", "content", "problem"),
    [
        (gzip.compress(bytes(range(256)))[:-20], None, "gzip", "damaged page"),
        (gzip.compress(bytes(range(256)))[:15] + b"\0" * 90, None, "gzip", "damaged page"),
        (brotli.compress(bytes(range(256)))[:-20], None, "br", "damaged page"),
        (b"<html>", None, "br", "damaged page"),
        (b"5\r\nhello\r\nworld\r\n", "chunked", None, "damaged page"),
        (b"<html>", None, "rot13", "unknown content encoding"),
    ],
)
def test_what_cannot_be_unpacked_is_named(raw: bytes, transfer: str, content: str, problem: str) -> None:
    with pytest.raises(PageError) as caught:
        unpack(raw, transfer, content, 10_000)
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("raw", "charset", "encoding"),
    [
        (GERMAN.encode(), None, "utf-8"),
        (GERMAN.encode("utf-8-sig"), "iso-8859-1", "utf-8"),
        (b"\xff\xfe" + GERMAN.encode("utf-16-le"), "utf-8", "utf-16-le"),
        (GERMAN.encode("cp1252"), "ISO-8859-1", "cp1252"),
        (GERMAN.encode("cp1252"), None, "cp1252"),
        # The server is wrong, and the guess fits.
        (GERMAN.encode("cp1252"), "utf-8", "cp1252"),
        (GERMAN.encode(), "no such thing", "utf-8"),
        # Encodings of Python's that are none of text on the web.
        (GERMAN.encode(), "unicode_escape", "utf-8"),
        (GERMAN.encode(), "zip", "utf-8"),
    ],
)
def test_encodings(raw: bytes, charset: str | None, encoding: str) -> None:
    page = read_page(raw, charset)
    assert (page.text, page.encoding.lower(), page.replaced) == (GERMAN, encoding, 0)


def test_a_page_names_its_encoding() -> None:
    russian = '<html><head><meta charset="koi8-r"></head><body>\u0434\u0430</body></html>'
    assert read_page(russian.encode("koi8-r")).text == russian


def test_what_is_no_text_is_replaced_and_counted() -> None:
    page = read_page(GERMAN.encode() + b"\xff \xff\xff \xef\xbf\xbd", "utf-8")
    assert (page.replaced, page.text.count("\ufffd")) == (3, 4)
    assert page.meta() == {"encoding": "utf-8", "replaced": 3}


@given(raw=st.binary(max_size=60), charset=st.sampled_from([None, "utf-8", "utf-16", "shift_jis", "utf-7", "gb18030"]))
def test_any_bytes_become_text_that_can_be_written(raw: bytes, charset: str | None) -> None:
    read_page(raw, charset).text.encode("utf-8")
