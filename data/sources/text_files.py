"""Plain text, one document per file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from data.document import Document
from data.identity import LOCATION
from data.sources import files
from data.sources.base import Source


@dataclass(frozen=True)
class TextFiles(Source):
    """UTF-8 text files; a document's id is its file's name within `path`.

    Attributes:
      path: a file, a directory or a glob, local or on `gs://`.
      licence, language: what is known of all of them.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    licence: str = "unknown"
    language: str = "unknown"

    def documents(self) -> Iterator[Document]:
        for name, file in files.find_files(self.path).items():
            yield Document(
                text=files.decode(file.read_bytes(), str(file)),
                id=name,
                source=os.fspath(self.path),
                licence=self.licence,
                language=self.language,
            )

    def fingerprint(self) -> str:
        return files.fingerprint(files.find_files(self.path))
