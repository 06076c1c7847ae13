"""What decontamination found of each evaluation set, from its tallies."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TITLE = re.compile(r"(?P<name>[^/]+)/(?P<examples>\d+) examples, (?P<n>\d+)-grams, (?P<short>\d+) too short\Z")


@dataclass(frozen=True)
class SetFound:
    """How much of an evaluation set was in the corpus.

    Attributes:
      name: the set.
      n: words to an n-gram.
      examples: how many it has.
      too_short: how many of them have fewer than `n` words, so that nobody can tell.
      found: how many were found, in part at least.
      documents: how many documents of the corpus have an n-gram of it.
    """

    name: str
    n: int
    examples: int
    too_short: int
    found: int
    documents: int

    @property
    def share(self) -> float:
        """Of the examples that can be found, the share that was; 0 where none can."""
        can_be_found = self.examples - self.too_short
        return self.found / can_be_found if can_be_found else 0.0


def contamination(tallies: Mapping[str, int]) -> list[SetFound]:
    """One row for each evaluation set, in the order of their names, from the tallies of `Decontaminate`."""
    documents: dict[str, int] = {}
    found: dict[str, int] = {}
    for name, number in tallies.items():
        # Neither part of a title has a "/"; an id can have any number.
        *parts, what = name.split("/", 2)
        title = "/".join(parts)
        if what == "documents":
            documents[title] = number
        elif what.startswith("example ") and number:
            found[title] = found.get(title, 0) + 1
    rows = []
    for title, number in documents.items():
        if match := _TITLE.match(title):
            sizes = (int(match[key]) for key in ("n", "examples", "short"))
            rows.append(SetFound(match["name"], *sizes, found.get(title, 0), number))
    return sorted(rows, key=lambda row: row.name)
