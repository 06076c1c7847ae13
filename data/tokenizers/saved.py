"""Reads a tokenizer back from its directory."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from etils import epath

from data.identity import LOCATION
from data.tokenizers.base import FILE, FORMAT, Tokenizer, TokenizerSpec
from data.tokenizers.byte import ByteTokenizer
from data.tokenizers.character import CharacterTokenizer
from data.tokenizers.hugging_face import HuggingFace, HuggingFaceTokenizer
from data.tokenizers.sentence_piece import SentencePieceTokenizer

_TYPES: dict[str, type[Tokenizer]] = {
    kind.type: kind for kind in (ByteTokenizer, CharacterTokenizer, HuggingFaceTokenizer, SentencePieceTokenizer)
}


def load_tokenizer(directory: epath.PathLike) -> Tokenizer:
    """The tokenizer that `Tokenizer.save` wrote to `directory`.

    Raises:
      FileNotFoundError: when there is none, or a file it needs is missing.
      ValueError: when its files are not a tokenizer, or not the one that was saved.
    """
    path = epath.Path(directory) / FILE
    try:
        record = json.loads(path.read_text())
        found, kind = record["format"], record["type"]
        saved_hash, state = record["hash"], record["state"]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.parent} holds no tokenizer: it has no {FILE}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a saved tokenizer: {error!r}") from None
    if found != FORMAT:
        raise ValueError(f"{path} has tokenizer format {found!r}, but this code reads {FORMAT}")
    if kind not in _TYPES:
        raise ValueError(f"{path} has type {kind!r}, but the types are {', '.join(sorted(_TYPES))}")
    try:
        tokenizer = _TYPES[kind].restore(state, path.parent)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is corrupt: {error}") from None
    if tokenizer.hash != saved_hash:
        raise ValueError(
            f"{path} is corrupt: the tokenizer's hash is {tokenizer.hash[:12]}..., but the file"
            f" says {str(saved_hash)[:12]}...; train it again"
        )
    return tokenizer


@dataclass(frozen=True)
class SavedTokenizer(TokenizerSpec):
    """A tokenizer that was made earlier, by its directory: that of a prepared corpus, `DIR/tokenizer`."""

    path: str | os.PathLike[str] = field(metadata=LOCATION)

    def train(self, texts: Iterable[str]) -> Tokenizer:
        return load_tokenizer(self.path)


def tokenizer_at(path: epath.PathLike) -> TokenizerSpec:
    """The spec of the tokenizer that lies at `path`: one saved here, or a `tokenizer.json` as the world has them.

    Args:
      path: the `tokenizer.json`, or the directory it lies in.

    Raises:
      FileNotFoundError: when there is none.
      ValueError: when it is neither.
    """
    found = epath.Path(path)
    file = found / FILE if found.is_dir() else found
    try:
        record = json.loads(file.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{file} does not exist; give a tokenizer.json or the directory of one, or a tokenizer to make, such as"
            " SentencePiece(32000)"
        ) from None
    except ValueError as error:
        raise ValueError(f"{file} is no tokenizer.json: {error}") from None
    ours = isinstance(record, dict) and {"format", "type", "hash", "state"} <= record.keys()
    return SavedTokenizer(str(file.parent)) if ours else HuggingFace(str(file))
