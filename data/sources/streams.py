"""Bytes of a file, decompressed where its name says so, in lines whose length has a bound."""

import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import zstandard
from etils import epath

# What is read at once, from a disk or a bucket.
_BLOCK = 1 << 20
# Of what is too long, as much as a person looks at.
_SHOWN = 200


# What a decompressor raises.
DAMAGE = (EOFError, zlib.error, zstandard.ZstdError)


class TruncatedArchive(EOFError):
    """A compressed file that ends before its end."""


@dataclass(frozen=True)
class TooLong:
    """What was passed over for its length.

    Attributes:
      size: its bytes.
      start: the first of them.
    """

    size: int
    start: bytes


@contextmanager
def opened(file: epath.Path, start: int = 0) -> Iterator[io.BufferedReader]:
    """A file to read from byte `start` on; `.gz` and `.zst` are decompressed, and then read from their start.

    What was decompressed before the damage of a damaged archive can be read, a line or a `read1` at a time.

    Raises:
      OSError: when it cannot be opened.
      TruncatedArchive, zlib.error, zstandard.ZstdError: on reading, when the archive is damaged.
    """
    with file.open("rb") as source:
        if is_packed(file):
            raw: io.RawIOBase = _Unpacked(source, *_FORMATS[file.suffix])
        else:
            raw = _Plain(source)
            if start:
                raw.seek(start)
        yield io.BufferedReader(raw, _BLOCK)


def is_packed(file: epath.Path) -> bool:
    """Whether `opened` decompresses this file, which then can be read from its start only."""
    return file.suffix in _FORMATS


def read_errors() -> tuple[type[Exception], ...]:
    """What reading a file can raise through the path library, whose `gs://` may be TensorFlow's."""
    tensorflow = sys.modules.get("tensorflow")
    extra = (tensorflow.errors.OpError,) if tensorflow else ()
    return (OSError, *DAMAGE, *extra)


def lines(stream: io.BufferedReader, longest: int) -> Iterator[bytes | TooLong]:
    """The lines of a stream with their ends; of one over `longest` bytes no more than that is ever held."""
    while line := stream.readline(longest + 1):
        if len(line) <= longest or line.endswith(b"\n"):
            yield line
        else:
            start, size = line[:_SHOWN], len(line)
            del line
            yield TooLong(size + pass_over(stream), start)


def read_whole(stream: io.BufferedReader, longest: int) -> bytes | TooLong:
    """All that is left of a stream; of over `longest` bytes, the size is what was read to find that out."""
    parts, size = [], 0
    while part := stream.read1(_BLOCK):
        parts.append(part)
        size += len(part)
        if size > longest:
            return TooLong(size, b"".join(parts)[:_SHOWN])
    return b"".join(parts)


def pass_over(stream: io.BufferedReader) -> int:
    """Reads to the end of the line and gives the number of bytes that were left of it."""
    size = 0
    while part := stream.readline(_BLOCK):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size


class _Plain(io.RawIOBase):
    """A file of the path library, whatever it opens, as one of Python's."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._source.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._source.seek(offset, whence)
        return self._source.tell()

    def tell(self) -> int:
        return self._source.tell()


class _Unpacked(io.RawIOBase):
    """An archive of one or more members, decompressed a step at a time.

    The libraries' own readers either say nothing of a truncated archive (zstandard) or lose what they had
    decompressed when they do (gzip in a buffer), or have no bound on what a step gives.
    """

    def __init__(self, source: Any, member: Callable[[], Any], step: int) -> None:
        self._source = source
        self._new = member
        self._step = step
        self._member: Any = None
        self._members = 0
        self._packed = b""
        self._at = 0
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._fill():
                return 0
        given = min(len(buffer), len(self._ready))
        buffer[:given] = self._ready[:given]
        self._ready = self._ready[given:]
        return given

    def _fill(self) -> bool:
        if self._at == len(self._packed):
            self._packed, self._at = self._source.read(_BLOCK), 0
        if not self._packed:
            if self._member is None and self._members:
                return False
            raise TruncatedArchive("it ends in the middle of its compressed data")
        step = self._packed[self._at : self._at + self._step]
        if self._member is None:
            if self._members:
                # Tapes and some writers pad an archive with zeros.
                self._at += len(step) - len(step.lstrip(b"\0"))
                step = step.lstrip(b"\0")
                if not step:
                    return True
            self._member = self._new()
        self._ready = memoryview(self._member.decompress(step))
        self._at += len(step)
        if self._member.eof:
            self._at -= len(self._member.unused_data)
            self._member = None
            self._members += 1
        return True


def _gzip() -> Any:
    # 16 asks for gzip's header and checksum, 15 for the largest window.
    return zlib.decompressobj(16 + 15)


def _zstandard() -> Any:
    return zstandard.ZstdDecompressor().decompressobj()


# How a member is decompressed, and how many bytes of it at once. Four bytes of zstandard can stand for a block of
# 128 KiB (RFC 8878, section 3.1.1.2), a byte of gzip for 1 KiB: an archive made to fill the memory fills 16 or 4 MiB.
_FORMATS: dict[str, tuple[Callable[[], Any], int]] = {".gz": (_gzip, 4096), ".zst": (_zstandard, 512)}
