"""The text of a web page from its bytes: what it was packed in undone, and its encoding found."""

import codecs
import zlib
from dataclasses import dataclass
from typing import Any

_GZIP = b"\x1f\x8b"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class PageError(ValueError):
    """A page that cannot be unpacked.

    Attributes:
      problem: what is wrong, in words that are the same for all such pages.
    """

    def __init__(self, problem: str, message: str) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True)
class Page:
    """A page as text.

    Attributes:
      text: the page, without byte order mark.
      encoding: what its bytes were read as.
      replaced: how many places were no text in that encoding, and are U+FFFD.
    """

    text: str
    encoding: str
    replaced: int

    def meta(self) -> dict[str, Any]:
        """What of it goes into a document's `meta`."""
        return {"encoding": self.encoding} | ({"replaced": self.replaced} if self.replaced else {})


def read_page(raw: bytes, charset: str | None = None) -> Page:
    """Decodes a page: by its byte order mark, what the server said, its own `meta` tag, or a guess, in this order.

    Args:
      raw: the page.
      charset: the encoding that the server named. When the bytes are not in it and a guess fits them, that is taken.
    """
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return _decoded(raw[len(mark) :], encoding)
    # Through this table only encodings of text get in, and those that browsers read.
    named = map_encoding_to_html5(charset, False) if charset else None
    named = named or detect_encoding(raw, from_html_meta=True) or "utf-8"
    page = _decoded(raw, named)
    if page.replaced:
        guessed = detect_encoding(raw)
        if guessed and guessed != named:
            other = _decoded(raw, guessed)
            return page if other.replaced else other
    return page


def unpack(raw: bytes, transfer: str | None, content: str | None, longest: int) -> bytes:
    """The body of an HTTP response as it was before it was sent.

    Crawlers often undo an encoding and keep the header that names it; then the bytes are taken as they are.

    Args:
      raw: the body.
      transfer, content: the headers `Transfer-Encoding` and `Content-Encoding`.
      longest: bytes of the result; no more are ever held.

    Raises:
      PageError: when it is not so encoded, in a way that is not known, or too long.
    """
    if transfer and "chunked" in transfer.lower():
        raw = _unchunked(raw)
    for name in reversed((content or "").lower().split(",")):
        if name.strip() not in ("", "identity", "none", "utf-8"):
            raw = _inflated(raw, name.strip(), longest)
    return raw


def _decoded(raw: bytes, encoding: str) -> Page:
    text = raw.decode(encoding, "replace")
    replaced = 0
    if "\ufffd" in text:
        replaced = text.count("\ufffd") - raw.count("\ufffd".encode(encoding, "ignore") or b"\0\0\0\0")
    return Page(text, encoding, max(replaced, 0))


def _unchunked(raw: bytes) -> bytes:
    """RFC 9112, section 7.1; what is not chunked at all is left as it is."""
    parts, at = [], 0
    while at < len(raw):
        end = raw.find(b"\r\n", at, at + 4096)
        digits = raw[at:end].split(b";")[0].strip() if end >= 0 else b""
        try:
            size = int(digits, 16)
        except ValueError:
            if at == 0:
                return raw
            raise PageError("damaged page", f"is damaged: its chunk at byte {at} has no length") from None
        if size <= 0:
            break
        parts.append(raw[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts)


def _inflated(raw: bytes, name: str, longest: int) -> bytes:
    if name in ("gzip", "x-gzip"):
        if not raw.startswith(_GZIP):
            return raw
        return _zlib(raw, 16 + 15, longest)
    if name == "deflate":
        # Both forms are sent under this name: with the header of zlib, and without.
        return _zlib(raw, 15 if raw[:1] and raw[0] & 0x0F == 8 else -15, longest)
    if name == "br":
        return _brotli(raw, longest)
    raise PageError("unknown content encoding", f"is encoded as {name!r}, but gzip, deflate and br are read")


def _zlib(raw: bytes, window: int, longest: int) -> bytes:
    unpacking = zlib.decompressobj(window)
    try:
        result = unpacking.decompress(raw, longest + 1)
    except zlib.error as error:
        raise PageError("damaged page", f"is damaged: {error}") from None
    if len(result) > longest:
        raise PageError("too long", f"unpacks from {len(raw):,} bytes to more than {longest:,}; set longest to read it")
    if not unpacking.eof:
        raise PageError("damaged page", "is damaged: its compressed data end in the middle")
    return result


def _brotli(raw: bytes, longest: int) -> bytes:
    import brotli

    unpacking = brotli.Decompressor()
    result = b""
    try:
        result = unpacking.process(raw, output_buffer_limit=longest + 1)
    except brotli.error as error:
        raise PageError("damaged page", f"is damaged: {error}") from None
    if len(result) > longest:
        raise PageError("too long", f"unpacks from {len(raw):,} bytes to more than {longest:,}; set longest to read it")
    if not unpacking.is_finished():
        raise PageError("damaged page", "is damaged: its compressed data end in the middle")
    return result
