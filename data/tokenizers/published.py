"""What a `tokenizer.json` says of itself: its tokens, which are special, and how words are marked in them."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from tokenizers import decoders

# How SentencePiece and those after it write a space.
_SPACE = "\u2581"


class Published:
    """A parsed `tokenizer.json` of the `tokenizers` library (format 1.0).

    Args:
      content: the file.
      extra: special tokens to have beside the file's; ids follow the file's last.

    Raises:
      ValueError: when it is no such file, or an extra token is in it and not special.
    """

    def __init__(self, content: bytes, extra: Sequence[str] = ()) -> None:
        try:
            record = json.loads(content)
            model = record["model"]
            vocabulary = model["vocab"]
            # Unigram's is a list of pieces with scores, the others' give each piece its id.
            pairs = enumerate(piece for piece, _ in vocabulary) if isinstance(vocabulary, list) else (
                (number, piece) for piece, number in vocabulary.items()
            )  # fmt: skip
            self.pieces: dict[int, str] = {int(number): str(piece) for number, piece in pairs}
            self._added = [(int(t["id"]), str(t["content"]), bool(t["special"])) for t in record["added_tokens"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"these {len(content)} bytes are no tokenizer.json with a model, its vocabulary and added tokens:"
                f" {error!r}"
            ) from None
        self._record, self._model = record, model
        self.pieces |= {number: name for number, name, _ in self._added}
        if not self.pieces or min(self.pieces) < 0:
            raise ValueError("this tokenizer.json has no vocabulary, or an id below 0")
        self.unknown = self._unknown()
        self._special = {name: number for number, name, special in self._added if special and number != self.unknown}
        known = set(self.pieces.values())
        new = [name for name in extra if name not in self._special]
        for name in new:
            if name in known:
                raise ValueError(f"{name!r} is to be special, but text is encoded to it in this tokenizer.json")
        first = max(self.pieces) + 1
        self.special: Mapping[str, int] = self._special | {name: first + i for i, name in enumerate(new)}
        self.pieces |= {number: name for name, number in self.special.items()}

    @property
    def vocab_size(self) -> int:
        """One more than the largest id; some below may stand for nothing."""
        return max(self.pieces) + 1

    def added(self) -> Iterator[tuple[str, int]]:
        """Tokens that are found in text before the model sees it, and their ids."""
        return ((name, number) for number, name, special in self._added if not special)

    def fallback(self) -> list[int]:
        """Ids for what has no piece of its own: the bytes of a byte fallback, and the unknown."""
        numbers = [] if self.unknown is None else [self.unknown]
        if self._model.get("byte_fallback"):
            numbers += [number for number, piece in self.pieces.items() if _byte(piece) is not None]
        return numbers

    def words(self) -> Iterator[int]:
        """Ids of the pieces that begin a word.

        Raises:
          ValueError: when pieces do not tell.
        """
        if self._model.get("end_of_word_suffix"):
            raise ValueError(
                f"this tokenizer marks where words end, with {self._model['end_of_word_suffix']!r}, and not where they"
                " begin; whole words cannot be told from its ids"
            )
        literal = {number for number, _, _ in self._added}
        if prefix := self._model.get("continuing_subword_prefix"):
            return (number for number, piece in self.pieces.items() if not piece.startswith(prefix))
        shown = {n: piece if n in literal else self._text(piece) for n, piece in self.pieces.items()}
        if not any(text[:1].isspace() for text in shown.values()):
            raise ValueError("no piece of this tokenizer begins with white space; its ids do not tell whole words")
        return (number for number, text in shown.items() if text[:1].isspace())

    def unmatchable(self, tag: str) -> str:
        """The file with special tokens under names that have `tag` in them, and nothing that adds to or cuts a text.

        A special token can be found in text in three ways: as an added token, as a piece that a unigram or
        word-piece model has beside the others, and as the product of merges.
        """
        record = copy.copy(self._record) | {"truncation": None, "padding": None, "post_processor": None}
        hidden = {name: f"{tag} {number}" for name, number in self._special.items()}
        record["added_tokens"] = [
            token | {"content": hidden[token["content"]], "normalized": False} if token["content"] in hidden else token
            for token in record["added_tokens"]
        ]
        model = dict(self._model)
        if isinstance(model["vocab"], list):
            model["vocab"] = [[hidden.get(piece, piece), score] for piece, score in model["vocab"]]
        else:
            model["vocab"] = {hidden.get(piece, piece): number for piece, number in model["vocab"].items()}
        if "merges" in model:
            pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
            model["merges"] = [list(pair) for pair in pairs if not hidden.keys() & {*pair, "".join(pair)}]
            model["dropout"] = None
        return json.dumps(record | {"model": model}, ensure_ascii=False)

    def _unknown(self) -> int | None:
        if self._model.get("unk_id") is not None:
            return int(self._model["unk_id"])
        name = self._model.get("unk_token")
        return next((number for number, piece in self.pieces.items() if piece == name), None)

    def _text(self, piece: str) -> str:
        if self._is_bytes:
            return decoders.ByteLevel().decode([piece])
        if self._model.get("byte_fallback") and (byte := _byte(piece)) is not None:
            return chr(byte)
        return piece.replace(_SPACE, " ")

    @cached_property
    def _is_bytes(self) -> bool:
        """Whether pieces are written in GPT-2's alphabet of bytes."""
        parts = (self._record.get("pre_tokenizer"), self._record.get("decoder"))
        return any(kind == "ByteLevel" for part in parts for kind in _types(part))


def _types(part: Any) -> Iterable[str]:
    """The types of a component and all within it."""
    if isinstance(part, Mapping):
        own = [str(part["type"])] if "type" in part else []
        return [*own, *(kind for inner in part.values() for kind in _types(inner))]
    return [kind for inner in part for kind in _types(inner)] if isinstance(part, list) else []


def _byte(piece: str) -> int | None:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        try:
            return int(piece[3:5], 16)
        except ValueError:
            return None
    return None
