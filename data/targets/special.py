"""The reserved tokens that a choice of targets needs, or what to do where a tokenizer lacks them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from data.tokenizers import Tokenizer


def special_ids(tokenizer: Tokenizer, names: Sequence[str], wanted_by: str) -> Int32[np.ndarray, " names"]:
    """The ids of reserved tokens.

    Raises:
      ValueError: naming the first that the tokenizer lacks.
    """
    known = tokenizer.special
    missing = [name for name in names if name not in known]
    if missing:
        listed = ", ".join(map(repr, names))
        if len(names) > 5:
            listed = f"*sentinels({len(names)})" if names[0] == "<extra_id_0>" else f"{names[0]!r}, ..., {names[-1]!r}"
        raise ValueError(
            f"{wanted_by} needs the token {missing[0]!r}{_others(len(missing) - 1)}, which the {tokenizer.type}"
            f" tokenizer lacks; train one that has it, with SentencePiece(special=({listed},))"
        )
    return np.array([known[name] for name in names], np.int32)


def separator_id(tokenizer: Tokenizer, wanted_by: str) -> int:
    """The id of the separator.

    Raises:
      ValueError: when the tokenizer has none.
    """
    if tokenizer.separator is None:
        raise ValueError(
            f"{wanted_by} ends what it makes with a separator, which the {tokenizer.type} tokenizer lacks; use"
            " SentencePiece or Bytes"
        )
    return tokenizer.separator


def _others(count: int) -> str:
    return f" and {count} others" if count > 1 else " and one other" if count else ""
