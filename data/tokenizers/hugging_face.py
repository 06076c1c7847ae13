"""Tokenizers that were published as a `tokenizer.json`, run by the `tokenizers` library that wrote it.

What they do to text is theirs: some lower-case, drop accents or merge spaces, so a text may come back changed.
The report of `python -m data.tokenize` says how many do.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

import numpy as np
import tokenizers
from etils import epath
from jaxtyping import Bool, Int32, Integer

from data.identity import LOCATION
from data.tokenizers.base import Tokenizer, TokenizerSpec
from data.tokenizers.published import Published
from data.tokenizers.special import check_names

_FILE = "huggingface.json"
_PUBLISHED = "tokenizer.json"
# What ends a document in the tokenizers of T5 and Llama 2, GPT-2 and Qwen, Llama 3, Gemma, DeepSeek, and BERT.
_SEPARATORS = (
    "</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "[SEP]",
)  # fmt: skip


class HuggingFaceTokenizer(Tokenizer):
    """A `tokenizer.json`, given as its bytes.

    Text that looks like a special token is encoded as any other text is. Documents are encoded whole: the file's
    truncation, padding and template of a prompt are not applied, nor is BPE dropout.

    Args:
      content: the file.
      separator: the name of the special token that ends a document.
      special: names of special tokens to have; those that the file lacks get ids after its last.

    Raises:
      ValueError: when the bytes are no such file, or the separator is not among its special tokens.
    """

    type = "huggingface"

    def __init__(self, content: bytes, separator: str, special: Sequence[str] = ()) -> None:
        self._content, self._separator, self._extra = content, separator, tuple(special)
        self._published = Published(content, special)
        self.separator = _named(separator, self.special)
        self._engine = _engine(self._published)
        self._is_special = np.zeros(self.vocab_size, bool)
        self._is_special[list(self.special.values())] = True

    @property
    def vocab_size(self) -> int:
        return self._published.vocab_size

    @property
    def special(self) -> Mapping[str, int]:
        return self._published.special

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[Int32[np.ndarray, " tokens"]]:
        with _serial() if threads == 1 else nullcontext():
            encoded = self._engine.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encoded]

    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]) -> str:
        ids = self._checked(ids)
        return self._engine.decode(ids[~self._is_special[ids]].tolist(), skip_special_tokens=False)

    def begins_word(self) -> Bool[np.ndarray, " vocab"]:
        begins = self._is_special.copy()
        begins[list(self._published.words())] = True
        return begins

    def piece(self, number: int) -> str:
        return self._published.pieces.get(number, "")

    def fallback(self) -> Bool[np.ndarray, " vocab"]:
        return np.isin(np.arange(self.vocab_size), self._published.fallback())

    def state(self) -> Mapping[str, Any]:
        return {"file": _FILE, "separator": self._separator, "special": list(self._extra)}

    def files(self) -> Mapping[str, bytes]:
        return {_FILE: self._content}

    def published(self) -> Mapping[str, bytes]:
        # The file knows nothing of tokens that were added to it here.
        return {} if self._published.vocab_size > Published(self._content).vocab_size else {_PUBLISHED: self._content}

    @classmethod
    def restore(cls, state: Mapping[str, Any], directory: epath.Path) -> "HuggingFaceTokenizer":
        # The name is fixed rather than read, so that no file can point outside its directory.
        path = directory / _FILE
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; make the tokenizer again")
        return cls(path.read_bytes(), str(state["separator"]), tuple(map(str, state["special"])))


@dataclass(frozen=True)
class HuggingFace(TokenizerSpec):
    """The tokenizer of a `tokenizer.json`: BPE, unigram or word-piece. It is read, not trained.

    Attributes:
      path: the file, or the directory it lies in; local or on `gs://`.
      separator: the name of the special token that ends a document; by default the one that the file has of `</s>`,
        `<|endoftext|>`, `<|end_of_text|>`, `<eos>`, DeepSeek's and `[SEP]`.
      special: names of special tokens to have, `sentinels(100)`; those that the file lacks get ids after its last.

    Raises:
      ValueError: when a name is empty or given twice.
    """

    path: str | os.PathLike[str] = field(metadata=LOCATION)
    separator: str | None = None
    special: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.special, "HuggingFace.special")

    def train(self, texts: Iterable[str]) -> HuggingFaceTokenizer:
        path = epath.Path(self.path)
        path = path / _PUBLISHED if path.is_dir() else path
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} does not exist; give a tokenizer.json") from None
        try:
            special = Published(content, self.special).special
            return HuggingFaceTokenizer(content, self.separator or _separator(special), self.special)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _separator(special: Mapping[str, int]) -> str:
    found = [name for name in _SEPARATORS if name in special]
    if len(found) == 1:
        return found[0]
    several = f"{' and '.join(found)} could each end a document" if found else "no special token is known to end one"
    raise ValueError(
        f"{several}; name one with separator=, or add one with special=: the file has {_listed(special)}"
    )


def _named(separator: str, special: Mapping[str, int]) -> int:
    if separator not in special:
        raise ValueError(f"{separator!r} is to end documents, but is no special token; the file has {_listed(special)}")
    return special[separator]


def _listed(special: Mapping[str, int]) -> str:
    shown = list(special)[:20]
    return (", ".join(shown) or "none") + (f" and {len(special) - 20} more" if len(special) > 20 else "")


def _engine(published: Published) -> tokenizers.Tokenizer:
    # Nobody who wrote a text knew the tag, so no text has it, and none is encoded to a special token.
    source = published.unmatchable(secrets.token_hex(16))
    try:
        engine = tokenizers.Tokenizer.from_str(source)
    except Exception as error:  # the library raises nothing more particular
        raise ValueError(f"the tokenizers library cannot read it: {error}") from None
    for name, number in published.added():
        if engine.token_to_id(name) != number:
            found = engine.token_to_id(name)
            raise ValueError(f"token {name!r} has id {number} in it, but the library gives it {found}")
    return engine


@contextmanager
def _serial() -> Iterator[None]:
    """The library asks this variable, at each call, whether to use its threads."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
