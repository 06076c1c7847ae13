"""Web archives: the pages of WARC files and the texts of WET files."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from etils import epath

from data.document import Document
from data.identity import LOCATION
from data.sources import files, streams
from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.languages import bcp47
from data.sources.page import PageError, read_page, unpack

_OK = 200
_SHOWN = 200


@dataclass(frozen=True)
class Warc(Source):
    """The pages in WARC files, tags and all, and the plain texts in WET files; `.gz` is decompressed on the way.

    A document is a response with status 200, or a conversion, of one of `content_types`; nothing else in an archive
    is a record. Its id is the archive's for it; its `meta` has `content_type`, `url`, `date`, the `encoding` of its
    bytes, how many places were `replaced` because they are no text in it, all `languages` where several are named,
    and why the crawler `truncated` it, if it did. A file is a shard.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      content_types: what a record must be to be read.
      licence: what is known of all of them.
      language: likewise, where the archive does not name the language of a text.
      longest: bytes of a page, packed or unpacked; a longer one cannot be read, and no more of it is held in memory.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    content_types: tuple[str, ...] = ("text/html", "application/xhtml+xml", "text/plain")
    licence: str = "unknown"
    language: str = "unknown"
    longest: int = 16 << 20

    def shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(name, (name,)) for name in files.find_files(self.path))

    def read(self, shard: Shard) -> Iterator[Record]:
        (name,) = shard.files
        file = files.within(self.path, name)
        return files.guarded(file, self._read(name, file))

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))

    def _read(self, name: str, file: epath.Path) -> Iterator[Record]:
        from fastwarc.warc import ArchiveIterator, WarcRecordType

        with streams.opened(file) as stream:
            given = _AsItComes(stream)
            archive = ArchiveIterator(given, record_types=WarcRecordType.any_type, auto_decode="none")
            for number, found in enumerate(archive, start=1):
                if not found.headers.get("Content-Length"):
                    raise OSError(f"its record {number} has no Content-Length")
                length, raw = found.content_length, None
                if wanted := self._is_wanted(found, WarcRecordType):
                    raw = found.reader.read(length) if length <= self.longest else None
                had = len(raw or b"") + found.reader.consume()
                if had < length:
                    # An archive that is not compressed has nothing else that tells.
                    raise streams.TruncatedArchive(f"its record {number} has {had:,} bytes of {length:,}")
                if wanted:
                    yield self._record(found, raw, f"{name}:{number}", f"{file}, record {number}")
            if not given.end.replace(b"\r", b"").endswith(b"\n\n"):
                # The library passes over a header that is cut off.
                raise streams.TruncatedArchive("it does not end with an empty line, as a record does")

    def _is_wanted(self, found: Any, types: Any) -> bool:
        if found.record_type == types.conversion:
            return _plain_type(found.headers.get("Content-Type")) in self.content_types
        if found.record_type != types.response:
            return False
        status = found.http_headers and found.http_headers.status_code
        return not status or (status == _OK and _plain_type(found.http_content_type) in self.content_types)

    def _record(self, found: Any, raw: bytes | None, default_id: str, place: str) -> Record:
        http = found.http_headers
        url = (found.headers.get("WARC-Target-URI") or "").strip("<>")
        if found.is_http and not (http and http.status_code):
            return BadRecord(place, "no HTTP response", f"{place} ({url}) is a response without a status of HTTP")
        if raw is None:
            size = f"{found.content_length:,} bytes, but at most {self.longest:,} are read"
            return BadRecord(place, "too long", f"{place} ({url}) has {size}; set longest to read it")
        try:
            if http:
                raw = unpack(raw, http.get("Transfer-Encoding"), http.get("Content-Encoding"), self.longest)
        except PageError as error:
            return BadRecord(place, error.problem, f"{place} ({url}) {error}", raw[:_SHOWN].decode("latin-1"))
        page = read_page(raw, found.http_charset if http else "utf-8")
        languages = (found.headers.get("WARC-Identified-Content-Language") or "").split(",")
        languages = [bcp47(code.strip()) for code in languages if code.strip()]
        kind = found.http_content_type if http else found.headers.get("Content-Type")
        meta = {"content_type": _plain_type(kind), "url": url, "date": found.headers.get("WARC-Date")} | page.meta()
        if len(languages) > 1:
            meta["languages"] = languages
        if truncated := found.headers.get("WARC-Truncated"):
            meta["truncated"] = truncated
        return Document(
            text=page.text,
            id=(found.headers.get("WARC-Record-ID") or default_id).strip("<>"),
            source=os.fspath(self.path),
            licence=self.licence,
            language=languages[0] if languages else self.language,
            meta=meta,
        )


class _AsItComes(io.RawIOBase):
    """A stream that gives what it has: to fill a block first would lose it when the rest is damaged."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._at = 0
        self.end = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        part = self._stream.read1(size)
        self._at += len(part)
        self.end = (self.end + part[-4:])[-4:]
        return part

    def tell(self) -> int:
        return self._at


def _plain_type(header: str | None) -> str:
    """A content type without its parameters."""
    return (header or "").split(";")[0].strip().lower()
