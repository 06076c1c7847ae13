"""Tables in documents that a command writes anew: between a mark that names the command and one that ends it."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from data import atomic
from data.console import UsageError

END = "<!-- end of table -->"


@dataclasses.dataclass(frozen=True)
class Place:
    """A place for what a command prints.

    Attributes:
      command: that writes it.
    """

    command: str

    @property
    def begin(self) -> str:
        """The mark before it."""
        return f"<!-- table: {self.command} -->"

    def inserted(self, document: str, text: str, name: str) -> str:
        """A document with the text in its place.

        Raises ValueError unless each mark is there once, in order; `name` is the document's.
        """
        begin = self.begin
        if document.count(begin) != 1 or document.count(END) != 1 or document.index(begin) > document.index(END):
            raise ValueError(f"{name} has no place for the table: a line '{begin}', and after it '{END}', each once")
        before, rest = document.split(begin)
        return f"{before}{begin}\n{text}\n{END}{rest.split(END)[1]}"

    def write(self, path: Path, text: str) -> None:
        """Writes a file anew with the text in its place. Raises UsageError where there is no such file."""
        if not path.is_file():
            raise UsageError(f"--write={path} is no file; it is a Markdown file with a place for the table")
        atomic.write_text(path, self.inserted(path.read_text(encoding="utf-8"), text, str(path)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """A Markdown table; the first `left` columns hold names, the others numbers."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def drawn(cells: Iterable[str]) -> str:
        padded = (
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i < left else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([drawn(head), rule, *map(drawn, lines[1:])])
