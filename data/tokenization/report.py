"""What a tokenizer makes of a corpus: how many tokens a word and a byte, what falls back, what is never used.

Fertility is the mean number of tokens that a word is cut into (Rust et al., 2021, arXiv:2012.15613). Words are runs of
what is not white space; for languages that are written without it, it is the tokens for each character that say as
much, and they are told apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from data.table import Table
from data.tokenization.tally import Tally, named
from data.tokenizers import Tokenizer

REPORT = "tokenizer_report.json"
_LARGEST = 50
_EXAMPLES = 20
_NOTE = (
    "Fertility is the mean number of tokens of a word, a run of what is not white space (Rust et al., 2021); of a"
    " character in languages written without it."
)


def make_report(tokenizer: Tokenizer, tally: Tally) -> dict[str, Any]:
    """The report as JSON values.

    Args:
      tokenizer: the tokenizer.
      tally: what was counted of the corpus; training and validation together.
    """
    reserved = {tokenizer.separator, *tokenizer.special.values()}
    fallback = tokenizer.fallback()
    pieces = {i: tokenizer.piece(i) for i in range(tokenizer.vocab_size) if i not in reserved and not fallback[i]}
    pieces = {i: piece for i, piece in pieces.items() if piece}
    unused = [i for i in pieces if not tally.used[i]]
    longest = sorted(pieces, key=lambda i: (-len(pieces[i]), i))[:_EXAMPLES]
    return {
        "tokenizer": {
            "type": tokenizer.type,
            "hash": tokenizer.hash,
            "vocab_size": tokenizer.vocab_size,
            "separator": tokenizer.separator,
            "special": len(tokenizer.special),
        },
        "all": _figures(tally.totals()),
        "languages": _groups(tally.languages),
        "domains": _groups(tally.domains),
        "pieces": len(pieces),
        "unused": {"count": len(unused), "first": [pieces[i] for i in unused[:_EXAMPLES]]},
        "longest": [pieces[i] for i in longest],
        "round_trip": {"texts": tally.tried, "unchanged": tally.returned, "first_changed": tally.changed or None},
    }


def section(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report as a section of a data card."""
    every, unused, trip = report["all"], report["unused"], report["round_trip"]
    facts = [
        ("Bytes of text a token", every["bytes_per_token"]),
        ("% of tokens that stand for what has no piece", 100 * every["fallback_share"]),
        ("Pieces, special tokens and fallback apart", report["pieces"]),
        ("Pieces that are never used", unused["count"]),
        ("Never used, for example", _listed(unused["first"])),
        ("Longest pieces", _listed(report["longest"])),
        ("Texts encoded and decoded to try", trip["texts"]),
        ("Texts that came back unchanged", trip["unchanged"]),
    ]
    if changed := trip["first_changed"]:
        facts.append((f"A text that did not: {changed['id']}", _listed([changed["before"], changed["after"]])))
    tables = [Table("", ("", "Value"), tuple(facts))]
    tables += [_table(name, report[f"{name}s"]) for name in ("language", "domain")]
    return {"title": "Tokenizer", "tables": [table.to_json() for table in tables]}


def _groups(groups: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    largest = sorted(groups, key=lambda name: (-named(groups[name])["tokens"], name))
    shown = [{"name": name, **_figures(named(groups[name]))} for name in largest[:_LARGEST]]
    return {"largest": shown, "more": len(largest) - len(shown)}


def _figures(counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "documents": counts["documents"],
        "bytes": counts["bytes"],
        "tokens": counts["tokens"],
        "bytes_per_token": _ratio(counts["bytes"], counts["tokens"]) or 0.0,
        "tokens_per_word": _ratio(counts["tokens_of_words"], counts["words"]),
        "tokens_per_character": _ratio(counts["tokens_of_unspaced"], counts["unspaced"]),
        "fallback_share": _ratio(counts["fallback"], counts["tokens"]) or 0.0,
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _table(name: str, groups: Mapping[str, Any]) -> Table:
    header = (
        name.capitalize(), "Documents", "Tokens", "Bytes a token", "Tokens a word", "Tokens a character", "% fallback"
    )  # fmt: skip
    keys = ("name", "documents", "tokens", "bytes_per_token", "tokens_per_word", "tokens_per_character")
    rows = [(*(row[key] for key in keys), 100 * row["fallback_share"]) for row in groups["largest"]]
    more = f" {groups['more']:,} more have fewer tokens." if groups["more"] else ""
    return Table(f"By {name}", header, tuple(rows), bars="Tokens", note=_NOTE + more)


def _listed(pieces: Sequence[str]) -> str:
    """Pieces of text in quotes, so that white space in them is seen."""
    return ", ".join(map(repr, pieces)) or "none"
