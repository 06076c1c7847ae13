"""The data card: what a model learnt from, as JSON for programs and as a page for people.

After Gebru et al., Datasheets for datasets, 2021 (arXiv:1803.09010): what can be counted is,
and nothing is claimed that was not.
"""

import html
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from data.store import TokenStore
from data.tokenizers import Tokenizer

_LIBRARIES = ("numpy", "sentencepiece", "tensorflow-datasets", "zstandard")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: .85em; }
"""


def make_card(
    identity: Mapping[str, Any],
    curation: Mapping[str, Any],
    tokenizer: Tokenizer,
    stores: Mapping[str, TokenStore],
) -> dict[str, Any]:
    """The card as JSON values: the same corpus made again gives the same card."""
    return {
        **identity,
        "curation": curation,
        "tokenizer": {
            "type": tokenizer.type,
            "vocab_size": tokenizer.vocab_size,
            "separator": tokenizer.separator,
            "hash": tokenizer.hash,
        },
        "splits": {
            name: {
                "documents": store.documents,
                "tokens": len(store),
                "bytes": store.bytes,
                "bytes_per_token": store.bytes / len(store),
                "hash": store.fingerprint(),
            }
            for name, store in stores.items()
        },
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in _LIBRARIES},
    }


def card_html(card: Mapping[str, Any]) -> str:
    """The card as one self-contained page. All text of the corpus is escaped."""
    tokenizer = card["tokenizer"]
    parts = [
        "<h1>Data card</h1>",
        _splits(card["splits"]),
        f"<p>Tokenizer: {_escape(tokenizer['type'])}, {tokenizer['vocab_size']:,} ids, separator"
        f" {_escape(tokenizer['separator'])}, hash <code>{_escape(tokenizer['hash'])}</code>.</p>",
        "<h2>Sources</h2><h3>Collected</h3>",
        _census(card["curation"]["collected"]),
        "<h3>Kept</h3>",
        _census(card["curation"]["kept"]),
        "<h2>Curation</h2>",
        _curation(card["curation"]["transforms"]),
        "<h2>Recipe</h2>",
        _table(("Field", "Value"), _flat(card["recipe"])),
        f"<p>Fingerprint of the source: <code>{_escape(card['source'])}</code>.</p>",
        "<h2>Versions</h2>",
        _table(("Library", "Version"), card["versions"].items()),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>Data card</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _splits(splits: Mapping[str, Any]) -> str:
    return _table(
        ("Split", "Documents", "Tokens", "Bytes", "Bytes per token", "Hash"),
        (
            (
                name,
                split["documents"],
                split["tokens"],
                split["bytes"],
                split["bytes_per_token"],
                split["hash"][:16],
            )
            for name, split in splits.items()
        ),
    )


def _census(groups: Sequence[Mapping[str, Any]]) -> str:
    columns = ("source", "licence", "language", "documents", "bytes")
    return _table(
        tuple(column.capitalize() for column in columns),
        ([group[column] for column in columns] for group in groups),
    )


def _curation(transforms: Sequence[Mapping[str, Any]]) -> str:
    if not transforms:
        return "<p>Nothing was changed or dropped: the recipe has no transforms.</p>"
    counts = ("seen", "changed", "dropped", "characters_in", "characters_out")
    rows = ([_name(t["transform"]), *(t[count] for count in counts)] for t in transforms)
    parts = [_table(("Transform", *(c.replace("_", " ").capitalize() for c in counts)), rows)]
    for transform in transforms:
        if transform["reasons"]:
            parts.append(f"<h3>{_escape(_name(transform['transform']))}</h3>")
            parts.append(_table(("Reason", "Times"), transform["reasons"].items()))
        if transform["samples"]:
            parts.append("<p>Dropped, for example:</p>")
            rows = (
                f"<tr><td>{_escape(s['id'])}</td><td>{_escape(s['reason'])}</td>"
                f"<td><pre>{_escape(s['excerpt'])}</pre></td></tr>"
                for s in transform["samples"]
            )
            parts.append(f"<table>{''.join(rows)}</table>")
    return "\n".join(parts)


def _name(described: Mapping[str, Any]) -> str:
    fields = ", ".join(f"{k}={v!r}" for k, v in described.items() if k != "type")
    return f"{described['type']}({fields})"


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Nested JSON values as pairs of a dotted name and a plain value."""
    if isinstance(value, Mapping):
        pairs = ((f"{name}.{key}".lstrip("."), item) for key, item in value.items())
    elif isinstance(value, list):
        pairs = ((f"{name}[{number}]", item) for number, item in enumerate(value))
    else:
        return [(name, value)]
    return [flat for key, item in pairs for flat in _flat(item, key)]


def _table(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{_escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>\n" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
        return f'<td class="number">{shown}</td>'
    return f"<td>{_escape(value)}</td>"


def _escape(value: Any) -> str:
    return html.escape(str(value))
