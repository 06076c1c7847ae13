"""Bytes of UTF-8 as tokens: any text, no training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from etils import epath
from jaxtyping import Int32, Integer

from data.tokenizers.base import Tokenizer, TokenizerSpec


class ByteTokenizer(Tokenizer):
    """Ids 0 to 255 are bytes, 256 is the separator."""

    type = "bytes"
    separator = 256

    @property
    def vocab_size(self) -> int:
        return 257

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int32)

    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]) -> str:
        ids = self._checked(ids)
        # A model may generate bytes that are no UTF-8: show where, rather than fail.
        return ids[ids < 256].astype(np.uint8).tobytes().decode("utf-8", errors="replace")

    def state(self) -> Mapping[str, Any]:
        return {}

    @classmethod
    def restore(cls, state: Mapping[str, Any], directory: epath.Path) -> "ByteTokenizer":
        return cls()


@dataclass(frozen=True)
class Bytes(TokenizerSpec):
    """256 bytes and a separator."""

    def train(self, texts: Iterable[str]) -> ByteTokenizer:
        return ByteTokenizer()
