"""Bytes of UTF-8 as tokens: any text, no training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from etils import epath
from jaxtyping import Int32, Integer

from data.tokenizers.base import Tokenizer, TokenizerSpec
from data.tokenizers.special import check_names


class ByteTokenizer(Tokenizer):
    """Ids 0 to 255 are bytes, 256 is the separator, and special tokens follow in the order of their names.

    A word begins at each byte that is white space, as `str.isspace` has it.

    Raises:
      ValueError: when a name is empty or given twice.
    """

    type = "bytes"
    separator = 256

    def __init__(self, special: Sequence[str] = ()) -> None:
        check_names(special, "Bytes.special")
        self._special = tuple(special)

    @property
    def vocab_size(self) -> int:
        return 257 + len(self._special)

    @property
    def special(self) -> Mapping[str, int]:
        return {name: 257 + number for number, name in enumerate(self._special)}

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int32)

    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]) -> str:
        ids = self._checked(ids)
        # A model may generate bytes that are no UTF-8: show where, rather than fail.
        return ids[ids < 256].astype(np.uint8).tobytes().decode("utf-8", errors="replace")

    def state(self) -> Mapping[str, Any]:
        # A tokenizer without them has the hash that it had before there were any.
        return {"special": list(self._special)} if self._special else {}

    @classmethod
    def restore(cls, state: Mapping[str, Any], directory: epath.Path) -> "ByteTokenizer":
        return cls(tuple(map(str, state.get("special", ()))))


@dataclass(frozen=True)
class Bytes(TokenizerSpec):
    """256 bytes, a separator, and special tokens if they are named.

    Attributes:
      special: names of reserved tokens, which no text is encoded to: `sentinels(100)`, `("<mask>",)`.

    Raises:
      ValueError: when a name is empty or given twice.
    """

    special: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.special, "Bytes.special")

    def train(self, texts: Iterable[str]) -> ByteTokenizer:
        return ByteTokenizer(self.special)
