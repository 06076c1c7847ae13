"""Files that a spec depends on, known by their content."""

import hashlib
import os
import re
from dataclasses import dataclass, field

from etils import epath

from data.identity import LOCATION

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class PinnedFile:
    """A file that must have a certain content, so that what is made with it can be told apart by its spec.

    Attributes:
      path: where it lies; no part of what it is.
      sha256: the SHA-256 of its bytes, in hexadecimal.

    Raises:
      ValueError: when `sha256` is none.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    sha256: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(
                f"PinnedFile.sha256 of {self.path} is '{self.sha256}', but must be the 64 hexadecimal digits that"
                " `sha256sum` prints"
            )

    def read(self) -> bytes:
        """Its bytes.

        Raises:
          OSError: when it cannot be read.
          ValueError: when it has another content.
        """
        content = epath.Path(self.path).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ValueError(f"{self.path} has the SHA-256 {found}, but PinnedFile.sha256 says {self.sha256}")
        return content
