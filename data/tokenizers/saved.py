"""Reads a tokenizer back from its directory."""

import json

from etils import epath

from data.tokenizers.base import FILE, FORMAT, Tokenizer
from data.tokenizers.byte import ByteTokenizer
from data.tokenizers.character import CharacterTokenizer
from data.tokenizers.hugging_face import HuggingFaceTokenizer
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
