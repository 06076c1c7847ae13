"""Makes a card from what was counted, and writes it in its three forms."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from etils import epath

from data import atomic
from data.card.html import card_html
from data.card.markdown import card_markdown
from data.store import TokenStore
from data.tokenizers import Tokenizer

_LIBRARIES = (
    "espalier", "numpy", "sentencepiece", "tokenizers", "tensorflow-datasets", "zstandard", "ftfy", "py3langid",
    "resiliparse", "scikit-learn", "pydivsufsort",
)  # fmt: skip


def make_card(
    identity: Mapping[str, Any],
    curation: Mapping[str, Any],
    shards: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer | None = None,
    stores: Mapping[str, TokenStore] | None = None,
) -> dict[str, Any]:
    """The card as JSON values: the same corpus made again gives the same card.

    Args:
      identity: the recipe, and the fingerprints of what it read.
      curation: the account of curation.
      shards: name, size and hash of each file of documents.
      tokenizer, stores: what became of the documents, once they are tokens.
    """
    card: dict[str, Any] = {**identity, "curation": curation, "shards": list(shards)}
    if tokenizer is not None:
        card["tokenizer"] = {
            "type": tokenizer.type,
            "vocab_size": tokenizer.vocab_size,
            "separator": tokenizer.separator,
            "hash": tokenizer.hash,
        }
    if stores:
        card["splits"] = {name: _split(store) for name, store in stores.items()}
    versions = {name: version for name in _LIBRARIES if (version := _version(name))}
    return card | {"versions": {"python": platform.python_version()} | versions}


def write_card(directory: epath.Path, card: Mapping[str, Any]) -> None:
    """Writes `data_card.json`, `data_card.html` and `data_card.md`."""
    atomic.write_text(directory / "data_card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    atomic.write_text(directory / "data_card.html", card_html(card))
    atomic.write_text(directory / "data_card.md", card_markdown(card))


def _split(store: TokenStore) -> dict[str, Any]:
    return {
        "documents": store.documents,
        "tokens": len(store),
        "bytes": store.bytes,
        "bytes_per_token": store.bytes / len(store),
        "hash": store.fingerprint(),
    }


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
