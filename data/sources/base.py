"""What a source is."""

import abc
from collections.abc import Iterator

from data.document import Document


class Source(abc.ABC):
    """A choice of documents: a frozen dataclass that can stream them."""

    @abc.abstractmethod
    def documents(self) -> Iterator[Document]:
        """The documents, one at a time, in the same order each time.

        Raises:
          FileNotFoundError, ValueError: when the data is missing or not as described.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A hash or version that changes when the documents do, cheaper than reading them all.

        Raises:
          FileNotFoundError, ValueError: when the data is missing or not as described.
        """
