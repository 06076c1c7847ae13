"""What a card says, in order, apart from how it is drawn: headings, sentences, tables, samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.audit.balance import spread
from data.table import Table


@dataclass(frozen=True)
class Heading:
    """A heading; level 2 is a section's."""

    level: int
    text: str


@dataclass(frozen=True)
class Sentence:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Excerpts:
    """Pieces of text with where they are from and why they are shown: (id, reason, excerpt)."""

    items: tuple[tuple[str, str, str], ...]


Block = Heading | Sentence | Excerpts | Table


def blocks(card: Mapping[str, Any]) -> Iterator[Block]:
    """All that a card says."""
    curation = card["curation"]
    yield from _statement(_curation_spec(card["recipe"]).get("statement") or {})
    yield from _splits(card)
    yield from _collected(curation)
    yield from _overview(curation["transforms"])
    for section in dict.fromkeys(t["section"] for t in curation["transforms"]):
        yield Heading(2, section)
        for transform in curation["transforms"]:
            if transform["section"] == section:
                yield from _transform(transform)
    for part in card.get("sections", ()):
        yield Heading(2, part["title"])
        yield from (Table.from_json(table) for table in part["tables"])
    yield from _provenance(card)


def _curation_spec(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    return recipe.get("curation") or recipe


def _statement(statement: Mapping[str, Any]) -> Iterator[Block]:
    for title, key in (("Intended use", "intended_use"), ("Gaps", "gaps")):
        yield Heading(2, title)
        yield Sentence(statement.get(key) or "Not stated: the recipe's statement says nothing of it.")


def _splits(card: Mapping[str, Any]) -> Iterator[Block]:
    if tokenizer := card.get("tokenizer"):
        yield Heading(2, "Tokens")
        yield Sentence(
            f"Tokenizer: {tokenizer['type']}, {tokenizer['vocab_size']:,} ids, separator {tokenizer['separator']},"
            f" hash {tokenizer['hash']}."
        )
    if splits := card.get("splits"):
        keys = ("documents", "tokens", "bytes", "bytes_per_token")
        rows = [(name, *(split[key] for key in keys), split["hash"][:16]) for name, split in splits.items()]
        yield Table("", ("Split", "Documents", "Tokens", "Bytes", "Bytes per token", "Hash"), tuple(rows))


def _collected(curation: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(2, "Sources, licences, languages")
    yield _flow(curation)
    for name in ("source", "licence", "language"):
        yield _balance(curation, name)
    if curation["bad"]:
        yield Heading(2, "Records that cannot be read")
        yield Table("", ("Problem", "Records"), tuple(curation["bad"].items()))
        yield _excerpts(curation["bad_samples"])


def _flow(curation: Mapping[str, Any]) -> Table:
    rows = []
    for title, groups in (("Collected", curation["collected"]), ("Kept", curation["kept"])):
        rows.append((title, *(sum(group[key] for group in groups) for key in ("documents", "characters", "bytes"))))
    return Table("", ("", "Documents", "Characters", "Bytes"), tuple(rows), bars="Bytes")


def _balance(curation: Mapping[str, Any], name: str) -> Table:
    """Documents and bytes before and after, by one property, the largest kept first."""
    sums: dict[str, list[int]] = {}
    for place, groups in ((0, curation["collected"]), (2, curation["kept"])):
        for group in groups:
            entry = sums.setdefault(group[name], [0, 0, 0, 0])
            entry[place] += group["documents"]
            entry[place + 1] += group["bytes"]
    total = sum(entry[3] for entry in sums.values()) or 1
    ordered = sorted(sums.items(), key=lambda item: (-item[1][3], -item[1][1], item[0]))
    rows = tuple((key, *entry, 100 * entry[3] / total) for key, entry in ordered)
    header = (name.capitalize(), "Documents collected", "Bytes collected", "Documents kept", "Bytes kept", "% of bytes")
    evenness = spread(curation["kept"], name)
    note = (
        f"Entropy of the bytes kept: {evenness.entropy:.3f} bits, as of {evenness.effective:.2f} equal values of"
        f" {name} (Shannon, 1948)."
    )
    return Table(f"By {name}", header, rows, bars="% of bytes", note=note)


def _overview(transforms: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    yield Heading(2, "Curation")
    if not transforms:
        yield Sentence("Nothing was changed or dropped: the recipe has no transforms.")
        return
    counts = ("seen", "changed", "dropped", "added", "characters_in", "characters_out")
    header = ("Transform", *(count.replace("_", " ").capitalize() for count in counts), "% dropped")
    rows = [
        (t["transform"]["type"], *(t[count] for count in counts), 100 * t["dropped"] / max(t["seen"], 1))
        for t in transforms
    ]
    yield Table("", header, tuple(rows), bars="% dropped")


def _transform(transform: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(3, _call(transform["transform"]))
    if transform["reasons"]:
        rows = sorted(transform["reasons"].items(), key=lambda item: (-item[1], item[0]))
        yield Table("", ("Reason", "Times"), tuple(rows), bars="Times")
    elif not transform["tables"]:
        yield Sentence("Changed and dropped nothing.")
    yield from (Table.from_json(table) for table in transform["tables"])
    if transform["samples"]:
        yield Sentence("Removed, for example:")
        yield _excerpts(transform["samples"])


def _excerpts(samples: Sequence[Mapping[str, str]]) -> Excerpts:
    return Excerpts(tuple((sample["id"], sample["reason"], sample["excerpt"]) for sample in samples))


def _provenance(card: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(2, "Hashes")
    yield Sentence(f"Fingerprint of the source: {card['source']}.")
    for number, fingerprint in enumerate(card.get("earlier", ()), start=1):
        yield Sentence(f"Fingerprint of source {number} that transforms read: {fingerprint}.")
    rows = tuple((shard["name"], shard["bytes"], shard["sha256"]) for shard in card["shards"])
    yield Table("Documents", ("File", "Bytes", "SHA-256"), rows)
    yield Heading(2, "Recipe")
    yield Table("", ("Field", "Value"), tuple(_fields(card["recipe"])))
    yield Heading(2, "Versions")
    yield Table("", ("Library", "Version"), tuple(card["versions"].items()))


def _call(described: Mapping[str, Any]) -> str:
    fields = ", ".join(f"{key}={_short(value)}" for key, value in described.items() if key != "type")
    return f"{described['type']}({fields})"


def _short(value: Any) -> str:
    shown = _shown(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _shown(value: Any) -> str:
    """JSON values as the constructor call that they stand for."""
    if isinstance(value, Mapping) and "type" in value:
        return f"{value['type']}({', '.join(f'{k}={_shown(v)}' for k, v in value.items() if k != 'type')})"
    if isinstance(value, list):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


def _fields(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of a recipe as calls; those of a list one by one."""
    for key, value in recipe.items():
        if isinstance(value, list):
            yield from ((f"{key}[{i}]", _shown(item)) for i, item in enumerate(value))
        else:
            yield key, _shown(value)
