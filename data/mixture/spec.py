"""A mixture of corpora, as training data."""

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from etils import epath

from data import atomic
from data.joined_store import JoinedStore
from data.mixture.schedule import Candidate, schedule
from data.mixture.weights import BySize, Constant, Joining, Weight
from data.packing import RowTable
from data.prepared import CARD, CARD_PAGE, DataSpec, Prepared
from data.timeline import Timeline

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Part:
    """A corpus in a mixture.

    Attributes:
      name: what it is called in messages, in metrics and on disk; with the seed, it decides the order in which
        its rows are read.
      data: the corpus.
      weight: how much of the mixture's rows it has; a number, or a choice of `data.mixture`.
      max_epochs: how often each of its rows may be read; None if any number of times. Once it is used up, the
        others take its place in proportion.
    """

    name: str
    data: DataSpec
    weight: float | Weight = BySize()
    max_epochs: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"Part.name is '{self.name}', but must be letters, digits, '_', '.' and '-', at most 64, the first"
                " a letter or a digit"
            )
        if isinstance(self.data, Mixture):
            raise ValueError(f"part '{self.name}' is a mixture itself; list its parts in the outer one")
        if self.max_epochs is not None and not self.max_epochs > 0:
            raise ValueError(f"max_epochs of '{self.name}' is {self.max_epochs}, but must be above 0")
        if not isinstance(self.weight, Weight):
            Constant(self.weight)

    @property
    def weighing(self) -> Weight:
        """The weight as a choice."""
        return self.weight if isinstance(self.weight, Weight) else Constant(self.weight)


@dataclass(frozen=True)
class Mixture(DataSpec):
    """Corpora that take turns, row by row, so that after any step each has had its share within one row.

    A part that is added must come last, so that what was read before it joins stays as it was.

    Attributes:
      parts: the corpora. They share one tokenizer.
      temperature: parts with the weight `BySize` are weighed by min(tokens, limit)^(1 / temperature): 1 for
        their sizes, more for less difference (Arivazhagan et al. 2019, arXiv:1907.05019; T5, Raffel et al. 2020,
        section 3.5.2).
      limit: no part counts as more tokens than this (T5's artificial size limit K, in the same
        section); None if there is none.
    """

    parts: tuple[Part, ...]
    temperature: float = 1.0
    limit: int | None = None

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names:
            raise ValueError("a mixture has no parts; give at least one")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two parts of the mixture are called '{min(twice)}'; each has a name of its own")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}, but must be above 0")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}, but must be at least 1")
        others = [part.weighing for part in self.parts if not isinstance(part.weighing, Joining)]
        sized = sum(isinstance(weight, BySize) for weight in others)
        if 0 < sized < len(others):
            raise ValueError(
                "some parts of the mixture are weighed by size and others by a number; weigh all in one way"
            )

    def identity(self) -> dict[str, Any]:
        # Weights decide what is read when, not what lies ready.
        recipes = {part.name: part.data.identity() for part in self.parts}
        return {
            "recipe": {"type": "Mixture", **{name: found["recipe"] for name, found in recipes.items()}},
            **{key: {name: found[key] for name, found in recipes.items()} for key in ("source", "earlier")},
        }

    def prepare(self, directory: epath.PathLike, log: Callable[[str], None] = print) -> Prepared:
        """Prepares each part in a folder of `directory` named after it, and opens them together.

        Raises:
          FileNotFoundError, ValueError: when a part cannot be prepared, or two have different tokenizers.
        """
        directory = epath.Path(directory)

        def named(name: str) -> Callable[[str], None]:
            return lambda line: log(f"data: {name}: {line.removeprefix('data: ')}")

        parts = {part.name: part.data.prepare(directory / part.name, named(part.name)) for part in self.parts}
        prepared = self._together(directory, parts)
        _write(directory / CARD, json.dumps(prepared.card, indent=1, ensure_ascii=False) + "\n")
        _write(directory / CARD_PAGE, _page(parts))
        return prepared

    def open(self, directory: epath.PathLike) -> Prepared:
        directory = epath.Path(directory)
        return self._together(directory, {part.name: part.data.open(directory / part.name) for part in self.parts})

    def adds_from(self, old: DataSpec) -> int | None:
        """The step at which the first of the parts that were added to `old` joins; None if that is not all."""
        if not isinstance(old, Mixture) or replace(self, parts=old.parts) != old:
            return None
        same, added = self.parts[: len(old.parts)], self.parts[len(old.parts) :]
        steps = [part.weighing.at_step for part in added if isinstance(part.weighing, Joining)]
        return min(steps) if same == old.parts and len(steps) == len(added) and steps else None

    def timeline(self, tables: Sequence[RowTable], batch: int, steps: int) -> Timeline:
        sizes = self._sizes([(table.rows, table.tokens) for table in tables])
        candidates = [
            Candidate(
                part.name,
                part.weighing,
                size,
                None if part.max_epochs is None else int(Fraction(repr(part.max_epochs)) * table.rows),
            )
            for part, size, table in zip(self.parts, sizes, tables, strict=True)
        ]
        return schedule(candidates, batch, steps)

    def _sizes(self, counts: Sequence[tuple[int, int]]) -> list[Fraction]:
        """What each part counts as, in rows, from its rows and tokens in an epoch."""
        capped = [tokens if self.limit is None else min(tokens, self.limit) for _, tokens in counts]
        weights = [Fraction(count) for count in capped]
        if self.temperature != 1:
            # Nine digits are the same on every platform; the last bits of a power are not.
            weights = [Fraction(f"{(count / max(capped)) ** (1 / self.temperature):.8e}") for count in capped]
        # Rows that are not full take more of them for as many tokens.
        return [weight * rows / tokens for weight, (rows, tokens) in zip(weights, counts, strict=True)]

    def _together(self, directory: epath.Path, parts: dict[str, Prepared]) -> Prepared:
        first_name, first = next(iter(parts.items()))
        for name, part in parts.items():
            if part.tokenizer.hash != first.tokenizer.hash:
                raise ValueError(
                    f"'{name}' was tokenized by {part.tokenizer.type} {part.tokenizer.hash[:12]}..., but"
                    f" '{first_name}' by {first.tokenizer.type} {first.tokenizer.hash[:12]}...; the parts of a"
                    " mixture share one tokenizer"
                )
        stores = {
            split: JoinedStore([getattr(part, split) for part in parts.values()]) for split in ("train", "validation")
        }
        return Prepared(directory, tokenizer=first.tokenizer, card=_card(parts, stores), parts=parts, **stores)


def _card(parts: dict[str, Prepared], stores: dict[str, JoinedStore]) -> dict[str, Any]:
    def sizes(prepared: Prepared) -> dict[str, Any]:
        return {split: prepared.card.get("splits", {}).get(split) for split in stores}

    first = next(iter(parts.values()))
    return {
        "splits": {
            split: {"documents": s.documents, "tokens": len(s), "bytes": s.bytes, "hash": s.fingerprint()}
            for split, s in stores.items()
        },
        "tokenizer": first.card.get("tokenizer"),
        "parts": {name: sizes(part) for name, part in parts.items()},
    }


def _page(parts: dict[str, Prepared]) -> str:
    """The cards of all parts on one page."""
    head, bodies = "", []
    for name, part in parts.items():
        try:
            whole = (part.directory / CARD_PAGE).read_text()
        except OSError:
            continue
        before, _, rest = whole.partition("<body>")
        head = head or before
        bodies.append(f"<h1>Part: {html.escape(name)}</h1>\n{rest.rpartition('</body>')[0]}")
    return f"{head}<body>\n{''.join(bodies)}</body>\n</html>\n"


def _write(path: epath.Path, text: str) -> None:
    """Writes what is not there yet; where one cannot write, it is only for people to read."""
    try:
        if not path.exists() or path.read_text() != text:
            atomic.write_text(path, text)
    except OSError:
        return
