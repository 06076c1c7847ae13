"""Subwords learned by SentencePiece, set up so that no text changes on its way through.

Kudo and Richardson, SentencePiece, 2018 (arXiv:1808.06226); "bpe" is Sennrich et al., 2016
(arXiv:1508.07909), "unigram" is Kudo, 2018 (arXiv:1804.10959).
"""

import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex

import numpy as np
import sentencepiece
from etils import epath
from jaxtyping import Bool, Int32, Integer

from data.tokenizers.base import Tokenizer, TokenizerSpec
from data.tokenizers.special import check_names

_MODEL = "tokenizer.model"
_UNKNOWN = 0
_SEPARATOR = 1
_TAKEN = ("<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
_FIXED = len(_TAKEN)
# SentencePiece writes a space as this character, and decodes it as one. A text that has the
# character itself keeps it as the bytes of its UTF-8.
_SPACE = "\u2581"
# The library drops longer sentences (in bytes), so texts are cut for training, at most that long
# in characters of at most four bytes: before white space, or anywhere where there is none.
_SENTENCE = 4096
_PART = re.compile(rf".{{1,{_SENTENCE // 4}}}(?=\s|\Z)|.{{1,{_SENTENCE // 4}}}", re.DOTALL)
# Sums over threads depend on their number: fixed, so that the model does not depend on the
# machine.
_TRAINING_THREADS = 4


class SentencePieceTokenizer(Tokenizer):
    """A trained SentencePiece model, given as its serialised protocol buffer.

    Raises:
      ValueError: when the bytes are no model, or one that was not trained by `SentencePiece`.
    """

    type = "sentencepiece"
    separator = _SEPARATOR

    def __init__(self, model: bytes) -> None:
        self._model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(f"these {len(model)} bytes are no SentencePiece model") from error
        space = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in _SPACE.encode()]
        if self._processor.unk_id() in space or self._processor.eos_id() != _SEPARATOR:
            raise ValueError(
                "this SentencePiece model has no byte fallback or no separator at id"
                f" {_SEPARATOR}; train it with the SentencePiece spec"
            )
        self._space = np.array(space, np.int32)

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size()

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str], threads: int | None = None) -> list[Int32[np.ndarray, " tokens"]]:
        plain = [text for text in texts if _SPACE not in text]
        encoded = iter(self._encode(plain, threads))
        return [self._encode_in_parts(text, threads) if _SPACE in text else next(encoded) for text in texts]

    def _encode(self, texts: list[str], threads: int | None) -> list[Int32[np.ndarray, " tokens"]]:
        return self._processor.encode(texts, return_type="numpy", num_threads=threads or -1)

    def _encode_in_parts(self, text: str, threads: int | None) -> Int32[np.ndarray, " tokens"]:
        """A text that has the library's mark for a space in it: what is between, and the mark as bytes."""
        first, *others = self._encode(text.split(_SPACE), threads)
        return np.concatenate([first, *itertools.chain.from_iterable((self._space, part) for part in others)])

    @property
    def special(self) -> Mapping[str, int]:
        controls = filter(self._processor.is_control, range(self.vocab_size))
        return {self._processor.id_to_piece(i): i for i in controls}

    def piece(self, number: int) -> str:
        return self._processor.id_to_piece(number)

    def fallback(self) -> Bool[np.ndarray, " vocab"]:
        flags = (self._processor.is_byte(i) or self._processor.is_unknown(i) for i in range(self.vocab_size))
        return np.fromiter(flags, bool, self.vocab_size)

    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[SupportsIndex]) -> str:
        return self._processor.decode(self._checked(ids).tolist())

    def state(self) -> Mapping[str, Any]:
        return {"model": _MODEL}

    def files(self) -> Mapping[str, bytes]:
        return {_MODEL: self._model}

    def published(self) -> Mapping[str, bytes]:
        return self.files()

    @classmethod
    def restore(cls, state: Mapping[str, Any], directory: epath.Path) -> "SentencePieceTokenizer":
        # The name is fixed rather than read, so that no file can point outside its directory.
        path = directory / _MODEL
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; train the tokenizer again")
        return cls(path.read_bytes())


@dataclass(frozen=True)
class SentencePiece(TokenizerSpec):
    """A vocabulary of `vocab` subwords: the separator, an id for the unknown that is never
    used, 256 bytes for what has no subword, reserved and user-defined ones, and the rest learned.

    Digits are tokens of their own, runs of spaces may be one, and nothing is normalised.

    Attributes:
      vocab: how many ids there are in all.
      model_type: how subwords are learned.
      special: names of reserved tokens, which no text is encoded to: `sentinels(100)`, `("<mask>",)`.
      user_defined: what is always one token where it stands in a text, such as `("<b>", "\\begin")`.

    Raises:
      ValueError: when `vocab` has no room for the bytes and what is named, or a name cannot be had.
    """

    vocab: int = 4096
    model_type: Literal["bpe", "unigram"] = "bpe"
    special: tuple[str, ...] = ()
    user_defined: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fixed = _FIXED + len(self.special) + len(self.user_defined)
        if self.vocab <= fixed:
            raise ValueError(
                f"SentencePiece.vocab is {self.vocab}, but the bytes, the separator and the named tokens alone take"
                f" {fixed}; choose more"
            )
        check_names(self.special, "SentencePiece.special", _TAKEN)
        check_names(self.user_defined, "SentencePiece.user_defined", (*_TAKEN, *self.special))
        for name in (*self.special, *self.user_defined):
            # The library's trainer would end a name at a null, and takes its mark for a space.
            if {_SPACE, "\0"} & set(name):
                raise ValueError(f"SentencePiece cannot name a token {name!r}: it has a null or {_SPACE!r} in it")
        if self.model_type not in ("bpe", "unigram"):
            raise ValueError(
                f"SentencePiece.model_type is {self.model_type!r}, but must be 'bpe' or 'unigram'"
            )

    def train(self, texts: Iterable[str]) -> SentencePieceTokenizer:
        sentences = _sentences(texts)
        first = next(sentences, None)
        if first is None:
            raise ValueError("SentencePiece found no text to train on")
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=itertools.chain([first], sentences),
                model_writer=model,
                model_type=self.model_type,
                vocab_size=self.vocab,
                byte_fallback=True,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                allow_whitespace_only_pieces=True,
                split_digits=True,
                character_coverage=0.9995,
                control_symbols=list(self.special),
                user_defined_symbols=[name.replace(" ", _SPACE) for name in self.user_defined],
                unk_id=_UNKNOWN,
                eos_id=_SEPARATOR,
                bos_id=-1,
                pad_id=-1,
                max_sentence_length=_SENTENCE,
                num_threads=_TRAINING_THREADS,
                minloglevel=3,
            )
        except RuntimeError as error:
            raise ValueError(self._explain(str(error))) from None
        return SentencePieceTokenizer(model.getvalue())

    def _explain(self, message: str) -> str:
        """The library's message, told in terms of this spec."""
        if limit := re.search(r"value <= (\d+)", message):
            return (
                f"SentencePiece.vocab is {self.vocab}, but this text supports at most"
                f" {limit[1]}; choose fewer or give more text"
            )
        return f"SentencePiece(vocab={self.vocab}) cannot be trained on this text: {message}"


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    """The texts, cut before white space into parts that the library accepts."""
    # The reserved space character cannot be learned, and a null ends the library's sentences.
    reserved = re.compile(f"[{_SPACE}\0]")
    for text in texts:
        yield from _PART.findall(reserved.sub("", text))
