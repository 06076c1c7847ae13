"""What a source is: shards that can be read apart from one another, and what cannot be read of them."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass

from data.document import Document


@dataclass(frozen=True)
class Shard:
    """A part of a source that one worker reads at a time.

    Attributes:
      name: unique within the source, and the same in every run.
      files: what it is read from, as the source understands it; none where the name says it all.
    """

    name: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class BadRecord:
    """Something that should have been a document and cannot be read.

    Attributes:
      place: the file, and the line or record in it.
      problem: what is wrong, in words that are the same for all such records ("not UTF-8"), to count by.
      message: one sentence with the place, what was found and what would be right.
      excerpt: how it begins, as far as that can be shown.
    """

    place: str
    problem: str
    message: str
    excerpt: str = ""


Record = Document | BadRecord


class Source(abc.ABC):
    """A choice of documents: a frozen dataclass that can stream them, shard by shard.

    The shards and the documents in them have the same order each time; the first document of the first shard is
    the first of the corpus. Reading a shard holds one record at a time.
    """

    @abc.abstractmethod
    def shards(self) -> tuple[Shard, ...]:
        """The parts that can be read independently, in order.

        Raises:
          FileNotFoundError, ValueError: when the data is missing or not as described.
        """

    @abc.abstractmethod
    def read(self, shard: Shard) -> Iterator[Record]:
        """The records of one shard, in order; a bad one does not end the stream unless nothing can follow it.

        Raises:
          OSError: when the shard cannot be opened.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A hash or version that changes when the documents do, cheaper than reading them all.

        Raises:
          FileNotFoundError, ValueError: when the data is missing or not as described.
        """

    def documents(self) -> Iterator[Document]:
        """All documents in order.

        Raises:
          FileNotFoundError: when the data is missing.
          ValueError: at the first record that cannot be read.
        """
        for shard in self.shards():
            for record in self.read(shard):
                if isinstance(record, BadRecord):
                    raise ValueError(record.message)
                yield record
