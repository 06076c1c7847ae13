"""What a tokenizer makes of a corpus: how many tokens a word and a byte, what falls back, what is never used.

Fertility is the mean number of tokens that a word is cut into (Rust et al., 2021, arXiv:2012.15613). Words are runs of
what is not white space; for languages that are written without it, it is the tokens for each character that say as
much, and they are told apart.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from data.tokenization.tally import Tally, named
from data.tokenizers import Tokenizer

REPORT = "tokenizer_report.json"
REPORT_PAGE = "tokenizer_report.md"
_LARGEST = 50
_EXAMPLES = 20


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


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a section of Markdown."""
    tokenizer, every, trip = report["tokenizer"], report["all"], report["round_trip"]
    used = report["pieces"] - report["unused"]["count"]
    lines = [
        "# Tokenizer report",
        "",
        f"A {tokenizer['type']} tokenizer with {tokenizer['vocab_size']:,} ids, of which {tokenizer['special']:,} are"
        f" special; hash `{tokenizer['hash'][:16]}`.",
        "",
        f"- {every['bytes_per_token']:.3f} bytes of text a token, over {every['tokens']:,} tokens of"
        f" {every['documents']:,} documents",
        f"- {every['fallback_share']:.4%} of tokens stand for what has no piece (bytes of a fallback, the unknown)",
        f"- {used:,} of {report['pieces']:,} pieces are used; never used, for example:"
        f" {_listed(report['unused']['first'])}",
        f"- longest pieces: {_listed(report['longest'])}",
        f"- {trip['unchanged']:,} of {trip['texts']:,} texts come back unchanged after encoding and decoding",
    ]
    if changed := trip["first_changed"]:
        lines.append(f"  - {_code(changed['id'])}: {_code(changed['before'])} comes back as {_code(changed['after'])}")
    for title, groups in (("language", report["languages"]), ("domain", report["domains"])):
        lines += ["", f"## By {title}", "", *_table(title, groups["largest"])]
        if groups["more"]:
            lines += ["", f"and {groups['more']:,} more with fewer tokens."]
    lines += [
        "",
        "Fertility: mean number of tokens of a word, a run of what is not white space (Rust et al., 2021); of a"
        " character in languages written without it.",
    ]
    return "\n".join(lines) + "\n"


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


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"| {title} | documents | tokens | bytes a token | tokens a word | tokens a character | fallback |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        fertility = [row["tokens_per_word"], row["tokens_per_character"]]
        lines.append(
            f"| {_code(row['name'])} | {row['documents']:,} | {row['tokens']:,} | {row['bytes_per_token']:.3f} |"
            f" {' | '.join('' if it is None else f'{it:.3f}' for it in fertility)} | {row['fallback_share']:.4%} |"
        )
    return lines


def _listed(pieces: Sequence[str]) -> str:
    return ", ".join(map(_code, pieces)) or "none"


def _code(text: str) -> str:
    """Text of the corpus as code, so that nothing in it is read as Markdown or HTML."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") or shown != shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", "\\|")
