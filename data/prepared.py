"""A corpus that is ready to train on."""

import abc
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etils import epath

from data.identity import LOCATION, fingerprint
from data.packing import RowTable
from data.store import TokenStore
from data.timeline import Timeline
from data.tokenizers import Tokenizer, load_tokenizer
from data.verified import verify_once

FORMAT = 2
MARKER = "prepared.json"
CARD = "data_card.json"
CARD_PAGE = "data_card.html"


@dataclass(frozen=True)
class Prepared:
    """Token stores with the tokenizer that wrote them and the data card.

    A directory holds them as `train/`, `validation/`, `tokenizer/`, `data_card.html` and
    `data_card.json`, with what they were made by in `prepared.json`. A mixture is prepared part by part.

    Attributes:
      directory: where it lies.
      train: the text to learn from; of a mixture, that of all parts.
      validation: the text that is held out, likewise.
      tokenizer: what wrote both.
      card: the data card.
      parts: the corpora of a mixture by name; of one corpus, none.
    """

    directory: epath.Path
    train: TokenStore
    validation: TokenStore
    tokenizer: Tokenizer
    card: dict[str, Any]
    parts: Mapping[str, "Prepared"] = field(default_factory=dict)

    @property
    def sources(self) -> Mapping[str, "Prepared"]:
        """What batches are read from, by name; one corpus alone needs none."""
        return self.parts or {"": self}

    @classmethod
    def open(cls, directory: epath.PathLike) -> "Prepared":
        """Opens what `prepare` finished.

        Raises:
          FileNotFoundError: when it is not there or not finished.
          ValueError: when a part of it is corrupt, or of another tokenizer than the rest. Tokens are hashed where
            `verify_once` finds that worth it.
        """
        directory = epath.Path(directory)
        read_marker(directory)
        tokenizer = load_tokenizer(directory / "tokenizer")
        stores = {name: TokenStore(directory / name) for name in ("train", "validation")}
        for store in stores.values():
            if store.tokenizer != tokenizer.hash:
                raise ValueError(
                    f"{store.directory} was written by the tokenizer {store.tokenizer[:12]}...,"
                    f" but {directory / 'tokenizer'} is {tokenizer.hash[:12]}..."
                )
            verify_once(store)
        try:
            card = json.loads((directory / CARD).read_text())
        except FileNotFoundError:
            raise FileNotFoundError(f"{directory / CARD} is missing; prepare it again") from None
        except ValueError as error:
            raise ValueError(f"{directory / CARD} is no JSON: {error}") from None
        return cls(directory=directory, tokenizer=tokenizer, card=card, **stores)


def read_marker(directory: epath.Path) -> dict[str, Any]:
    """What the directory was prepared by.

    Raises:
      FileNotFoundError: when nothing was finished there.
      ValueError: when the marker is unreadable.
    """
    path = directory / MARKER
    try:
        marker = dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{directory} holds no prepared corpus: it has no {MARKER}, which is written when"
            " preparing finishes"
        ) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is unreadable: {error}") from None
    missing = {"format", "recipe", "source", "earlier"} - marker.keys()
    if missing or marker["format"] != FORMAT:
        raise ValueError(
            f"{path} was not written by this version of the code: it has format"
            f" {marker.get('format')!r}, not {FORMAT}, or lacks a field; prepare it again"
        )
    return marker


class DataSpec(abc.ABC):
    """A choice of training data: a frozen dataclass that knows how to get ready."""

    @abc.abstractmethod
    def identity(self) -> dict[str, Any]:
        """What the data is made by, as JSON values: the recipe, and its source's fingerprint.

        Raises:
          FileNotFoundError, ValueError: when the data is missing or not as described.
        """

    def fingerprint(self) -> str:
        """A hash of `identity`: equal for specs that give the same tokens."""
        return fingerprint(self.identity())

    @abc.abstractmethod
    def prepare(self, directory: epath.PathLike, log: Callable[[str], None] = print) -> Prepared:
        """Makes the data ready, in `directory` if it needs a place, and opens it.

        Raises:
          FileNotFoundError, ValueError: when the data is missing, empty or not as described.
        """

    def open(self, directory: epath.PathLike) -> Prepared:
        """Opens what `prepare` made ready for `directory`; writes nothing.

        Raises:
          FileNotFoundError, ValueError: when it is not there, not finished or corrupt.
        """
        return Prepared.open(directory)

    def adds_from(self, old: "DataSpec") -> int | None:
        """The step before which this gives the batches that `old` gives, if it is `old` with something added."""
        return None

    def timeline(self, tables: Sequence[RowTable], batch: int, steps: int) -> Timeline:
        """How the rows of the sources take turns.

        Args:
          tables: the rows of each source.
          batch: rows in a step.
          steps: the steps of the run.

        Raises:
          ValueError: when the sources do not last that long, or cannot take turns as they should.
        """
        return Timeline.alone(batch)


@dataclass(frozen=True)
class ExistingStore(DataSpec):
    """Data that was prepared earlier and lies at `path`."""

    path: str | os.PathLike[str] = field(metadata=LOCATION)

    def identity(self) -> dict[str, Any]:
        marker = read_marker(epath.Path(self.path))
        return {key: marker[key] for key in ("recipe", "source", "earlier")}

    def prepare(self, directory: epath.PathLike, log: Callable[[str], None] = print) -> Prepared:
        prepared = self.open(directory)
        log(f"data: opened {prepared.directory}: {len(prepared.train):,} tokens to train on")
        return prepared

    def open(self, directory: epath.PathLike) -> Prepared:
        return Prepared.open(self.path)


def prepare(
    spec: DataSpec, directory: epath.PathLike, log: Callable[[str], None] = print
) -> Prepared:
    """Makes the data of `spec` ready in `directory`, or opens it if that was done before."""
    return spec.prepare(directory, log)
