"""What one document of a text file is: the file, a line, a paragraph, or what lies between delimiters."""

import abc
import io
from collections.abc import Iterator
from dataclasses import dataclass

from data.sources.streams import TooLong, lines, read_whole

_BLOCK = 1 << 20
_SHOWN = 200


class TextUnit(abc.ABC):
    """A choice of how a text file is divided into documents. What is blank is no document."""

    @abc.abstractmethod
    def divide(self, stream: io.BufferedReader, longest: int) -> Iterator[tuple[str, bytes | TooLong]]:
        """The documents of a stream, each with what its id has after the name of the file.

        Args:
          stream: the file.
          longest: bytes of a document that is still read; no more of one is ever held.
        """


@dataclass(frozen=True)
class WholeFile(TextUnit):
    """The file is one document, also when it is blank."""

    def divide(self, stream: io.BufferedReader, longest: int) -> Iterator[tuple[str, bytes | TooLong]]:
        yield "", read_whole(stream, longest)


@dataclass(frozen=True)
class Lines(TextUnit):
    """Each line is a document, `FILE:LINE`, without its end."""

    def divide(self, stream: io.BufferedReader, longest: int) -> Iterator[tuple[str, bytes | TooLong]]:
        for number, line in enumerate(lines(stream, longest), start=1):
            if isinstance(line, TooLong):
                yield f":{number}", line
            elif line.strip():
                yield f":{number}", line.removesuffix(b"\n").removesuffix(b"\r")


@dataclass(frozen=True)
class Paragraphs(TextUnit):
    """What stands between blank lines is a document, `FILE:LINE` of its first line, without its last line's end."""

    def divide(self, stream: io.BufferedReader, longest: int) -> Iterator[tuple[str, bytes | TooLong]]:
        first, size, held = 0, 0, []
        for number, line in enumerate(lines(stream, longest), start=1):
            if isinstance(line, bytes) and not line.strip():
                if size:
                    yield f":{first}", _joined(held, size, longest)
                size, held = 0, []
                continue
            first = first if size else number
            size += line.size if isinstance(line, TooLong) else len(line)
            held.append(line.start if isinstance(line, TooLong) else line)
            if size > longest + len(b"\r\n"):
                held = [b"".join(held)[:_SHOWN]]
        if size:
            yield f":{first}", _joined(held, size, longest)


@dataclass(frozen=True)
class Delimiter(TextUnit):
    """What stands between two of these strings is a document, `FILE:N` for the Nth part of the file, counted from 1.

    Attributes:
      text: the string, such as "<|endoftext|>".
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("a delimiter is a string of at least one character, not ''")

    def divide(self, stream: io.BufferedReader, longest: int) -> Iterator[tuple[str, bytes | TooLong]]:
        mark = self.text.encode("utf-8")
        number, size, held, start = 1, 0, bytearray(), b""
        while True:
            block = stream.read1(_BLOCK)
            searched = max(len(held) - len(mark) + 1, 0)
            held += block
            while (end := held.find(mark, searched)) >= 0 or (not block and (size or held)):
                end = end if end >= 0 else len(held)
                if size or end > longest:
                    yield f":{number}", TooLong(size + end, start or bytes(held[:_SHOWN]))
                elif held[:end].strip():
                    yield f":{number}", bytes(held[:end])
                del held[: end + len(mark)]
                number, size, searched, start = number + 1, 0, 0, b""
            if not block:
                return
            if len(held) > longest + len(mark):
                # Enough is kept to find a delimiter of which a part has been read.
                passed = len(held) - len(mark) + 1
                size += passed
                start = start or bytes(held[:_SHOWN])
                del held[:passed]


def _joined(held: list[bytes], size: int, longest: int) -> bytes | TooLong:
    whole = b"".join(held).removesuffix(b"\n").removesuffix(b"\r")
    too_long = size > longest + len(b"\r\n") or len(whole) > longest
    return TooLong(size, whole[:_SHOWN]) if too_long else whole
