"""Stores read as one against their streams put together."""

from pathlib import Path

import numpy as np
import pytest

from data.joined_store import JoinedStore
from data.store import TokenStore
from data.store_writer import TokenStoreWriter


def write(directory: Path, documents: list[list[int]], tokenizer: str = "same") -> TokenStore:
    with TokenStoreWriter(directory, vocab_size=99, tokenizer=tokenizer, separator=0, shard_tokens=7) as writer:
        for document in documents:
            writer.append(np.array(document), 3 * len(document))
    return TokenStore(directory)


def test_the_streams_follow_one_another(tmp_path: Path) -> None:
    parts = [write(tmp_path / "a", [[1, 2, 3], [4] * 9]), write(tmp_path / "b", []), write(tmp_path / "c", [[5, 6]])]
    joined = JoinedStore(parts)
    stream = [1, 2, 3, 0, *[4] * 9, 0, 5, 6, 0]
    assert joined.tokens(0, len(joined)).tolist() == stream
    assert joined.document_ends().tolist() == [4, 14, 17]
    assert (joined.documents, joined.bytes, joined.separator) == (3, 42, 0)
    assert joined.fingerprint() == JoinedStore(parts).fingerprint() != parts[0].fingerprint()
    into = np.zeros(9, np.uint16)
    joined.copy(np.array([2, 12, 14]), np.array([1, 4, 1]), into, np.array([8, 2, 0]))
    assert into.tolist() == [5, 0, *stream[12:16], 0, 0, 3]
    joined.verify()
    with pytest.raises(ValueError, match="holds 17 tokens, but pieces were asked for from 16 to 18"):
        joined.copy(np.array([16]), np.array([2]), into, np.array([0]))
    (tmp_path / "c" / "shard-00000.tokens").write_bytes(b"abcdef")
    with pytest.raises(ValueError, match="c/shard-00000.tokens is corrupt"):
        joined.verify()


def test_stores_of_two_tokenizers_are_not_joined(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="b was written by the tokenizer other.*, but .*a by same"):
        JoinedStore([write(tmp_path / "a", [[1]]), write(tmp_path / "b", [[1]], "other")])
    with pytest.raises(ValueError, match="there are no stores to join"):
        JoinedStore([])
