"""The index of a token store: what its shards hold, by what tokenizer, and how documents are grouped."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from etils import epath

from data import atomic
from data.group_by import check_count

# A store without groups is written in format 1, as it was before there were any.
FORMAT, GROUPED_FORMAT = 1, 2
INDEX = "index.json"


@dataclass(frozen=True)
class ShardEntry:
    """What the index says of one shard: counts, bytes of the text it came from, hashes, names of groups if any."""

    tokens: int
    documents: int
    bytes: int
    tokens_sha256: str
    ends_sha256: str
    groups_sha256: str = ""
    groups: tuple[str, ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """The hash of each of the shard's files, by kind."""
        found = {"tokens": self.tokens_sha256, "ends": self.ends_sha256, "groups": self.groups_sha256}
        return {kind: digest for kind, digest in found.items() if digest}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "ShardEntry":
        """The entry that `written` gave."""
        return cls(**{**record, "groups": tuple(record.get("groups", ()))})

    def written(self) -> dict[str, Any]:
        """The entry as JSON values; of groups only if there are any."""
        record = asdict(self)
        return record if self.groups_sha256 else {k: v for k, v in record.items() if not k.startswith("groups")}


@dataclass(frozen=True)
class StoreIndex:
    """The contents of `index.json`."""

    vocab_size: int
    tokenizer: str
    separator: int | None
    shards: tuple[ShardEntry, ...]
    grouped_by: str = ""

    @property
    def dtype(self) -> np.dtype:
        """The little-endian integer type of a token on disk."""
        return np.dtype("<u2") if self.vocab_size <= 1 << 16 else np.dtype("<u4")

    def to_json(self) -> str:
        """The index as JSON text, with totals for people who read it."""
        record = {"format": GROUPED_FORMAT if self.grouped_by else FORMAT, "dtype": self.dtype.name} | asdict(self)
        record["shards"] = [shard.written() for shard in self.shards]
        if not self.grouped_by:
            del record["grouped_by"]
        for total in ("tokens", "documents", "bytes"):
            record[total] = sum(getattr(shard, total) for shard in self.shards)
        return json.dumps(record, indent=1) + "\n"

    @classmethod
    def read(cls, path: epath.Path) -> "StoreIndex":
        """Reads and checks an index.

        Raises:
          FileNotFoundError: when there is none.
          ValueError: when it is not an index of this format.
        """
        try:
            record = json.loads(path.read_text())
            found = record["format"]
            if found in (FORMAT, GROUPED_FORMAT):
                index = cls(
                    vocab_size=int(record["vocab_size"]),
                    tokenizer=str(record["tokenizer"]),
                    separator=None if record["separator"] is None else int(record["separator"]),
                    shards=tuple(ShardEntry.read(shard) for shard in record["shards"]),
                    grouped_by=str(record["grouped_by"]) if found == GROUPED_FORMAT else "",
                )
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{path.parent} holds no token store: it has no {INDEX}, which is written when"
                " a store is finished"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not the index of a token store: {error!r}") from None
        if found not in (FORMAT, GROUPED_FORMAT):
            raise ValueError(
                f"{path} has store format {found!r}, but this code reads {FORMAT} and {GROUPED_FORMAT}"
            )
        return index


def shard_path(directory: epath.Path, number: int, kind: str) -> epath.Path:
    """The file of a shard; `kind` is "tokens", "ends" or "groups". Names never come from the index."""
    return directory / f"shard-{number:05d}.{kind}"


def finish_index(directory: epath.Path, index: StoreIndex) -> None:
    """Makes the shards in `directory` a store by writing its index.

    Raises:
      ValueError: when the shards together have too many groups.
    """
    check_count((name for shard in index.shards for name in shard.groups), index.grouped_by)
    atomic.write_text(directory / INDEX, index.to_json())
