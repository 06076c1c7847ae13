"""How a corpus is curated: a spec, and the directory that comes of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from etils import epath

from data.archive import read_documents
from data.curation.bad_input import BadInput, Refuse
from data.curation.transform import Transform
from data.document import Document
from data.identity import differences
from data.sources.base import Source
from data.spec import describe

FORMAT = 1
MARKER = "curated.json"
REPORT = "curation.json"
DOCUMENTS = "documents"


@dataclass(frozen=True)
class Statement:
    """What people say of a corpus, for its data card; the rest of the card is counted.

    Attributes:
      intended_use: what it is for, and what not.
      gaps: what is known to be missing or wrong.
    """

    intended_use: str = ""
    gaps: str = ""


@dataclass(frozen=True)
class Curation:
    """How documents become a corpus.

    Attributes:
      source: where documents come from.
      transforms: what happens to them, in order.
      bad_input: what to do with records that cannot be read.
      statement: what people say of it.
    """

    source: Source
    transforms: tuple[Transform, ...] = ()
    bad_input: BadInput = Refuse()
    statement: Statement = Statement()

    def identity(self) -> dict[str, Any]:
        """What the corpus is made by: this spec, and the fingerprints of its source and of what transforms read
        beside it: earlier corpora, evaluation sets.

        Raises:
          FileNotFoundError, ValueError: when a source is missing or not as described.
        """
        return {
            "recipe": describe(self, locations=False),
            "source": self.source.fingerprint(),
            "earlier": [source.fingerprint() for t in self.transforms for source in t.reads()],
        }


@dataclass(frozen=True)
class CuratedCorpus:
    """A curated corpus on disk: `documents/` with an archive a shard, `curation.json`, the data card.

    Attributes:
      directory: where it lies.
      marker: what it was made by, and the name, size and hash of each shard.
      report: the account of what was done, as JSON values.
    """

    directory: epath.Path
    marker: dict[str, Any]
    report: dict[str, Any]

    @classmethod
    def open(cls, directory: epath.PathLike) -> "CuratedCorpus":
        """Opens what curation finished.

        Raises:
          FileNotFoundError: when it is not there or not finished.
          ValueError: when its marker is of another version.
        """
        directory = epath.Path(directory)
        marker = read_json(directory / MARKER, f"{directory} holds no curated corpus: it has no {MARKER}")
        if marker.get("format") != FORMAT:
            raise ValueError(f"{directory / MARKER} has format {marker.get('format')!r}, but this code reads {FORMAT}")
        return cls(directory, marker, read_json(directory / REPORT, f"{directory / REPORT} is missing"))

    @property
    def characters(self) -> int:
        """The length of all its texts."""
        return sum(group["characters"] for group in self.report["kept"])

    def paths(self) -> list[epath.Path]:
        """The archives, in order."""
        return [self.directory / DOCUMENTS / f"shard-{i:05d}.jsonl.zst" for i in range(len(self.marker["shards"]))]

    def documents(self) -> Iterator[Document]:
        """All documents, streamed in order.

        Raises:
          ValueError: when an archive is damaged.
        """
        return (document for path in self.paths() for document in read_documents(path))

    def check_same(self, identity: dict[str, Any]) -> None:
        """Raises ValueError unless it was made by what `identity` describes."""
        check_same(self.directory, self.marker, identity)


def check_same(directory: epath.Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises ValueError unless what is stored in `directory` was made as is wanted now."""
    if differing := differences(stored["recipe"], wanted["recipe"]):
        raise ValueError(
            f"{directory} was curated by another recipe: {'; '.join(differing)}; choose another directory or remove"
            " that one"
        )
    if any(stored[key] != wanted[key] for key in ("source", "earlier")):
        raise ValueError(
            f"{directory} was curated by this recipe from other text: the files of its source have changed; choose"
            " another directory or remove that one"
        )


def read_json(path: epath.Path, missing: str) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
      FileNotFoundError: saying `missing`, when there is no such file.
      ValueError: when it holds something else.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(missing) from None
    except ValueError as error:
        raise ValueError(f"{path} is unreadable: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a JSON {type(found).__name__}, but must hold an object")
    return found
