"""How much each group of a corpus should weigh."""

import abc
import json
from collections.abc import Mapping
from dataclasses import dataclass

from data.curation.weighting.grouping import Grouping
from data.document import Document


class Target(abc.ABC):
    """The shares that groups should have: a frozen dataclass."""

    @abc.abstractmethod
    def shares(self, actual: Mapping[str, float]) -> Mapping[str, float]:
        """From the shares that groups have to those that they should have; both add up to 1.

        Raises:
          ValueError: when nothing is said of a group.
        """


@dataclass(frozen=True)
class EqualShares(Target):
    """All groups alike."""

    def shares(self, actual: Mapping[str, float]) -> Mapping[str, float]:
        return dict.fromkeys(actual, 1 / len(actual))


@dataclass(frozen=True)
class TemperedShares(Target):
    """Shares to the power of 1/t, brought to a sum of 1: t = 1 leaves them, a large t makes them alike (Arivazhagan et
    al., Massively multilingual neural machine translation in the wild, 2019, arXiv:1907.05019, section 3.2.1).

    Attributes:
      t: the temperature; 5 in the paper.

    Raises:
      ValueError: when `t` is not above 0.
    """

    t: float = 5.0

    def __post_init__(self) -> None:
        if not self.t > 0:
            raise ValueError(f"TemperedShares.t is {self.t}, but must be above 0")

    def shares(self, actual: Mapping[str, float]) -> Mapping[str, float]:
        powers = {group: share ** (1 / self.t) for group, share in actual.items()}
        total = sum(powers.values())
        return {group: power / total for group, power in powers.items()}


@dataclass(frozen=True)
class Share:
    """The share of one group.

    Attributes:
      group: its name.
      share: any number above 0; only the ratios of shares matter.

    Raises:
      ValueError: when the share is not above 0.
    """

    group: str
    share: float

    def __post_init__(self) -> None:
        if not self.share > 0:
            raise ValueError(f"the share of '{self.group}' is {self.share}, but must be above 0")


@dataclass(frozen=True)
class ListedShares(Target):
    """The shares that are listed; groups that do not occur leave theirs to the others.

    Attributes:
      listed: one entry for each group of the corpus.
    """

    listed: tuple[Share, ...]

    def shares(self, actual: Mapping[str, float]) -> Mapping[str, float]:
        wanted = {entry.group: entry.share for entry in self.listed}
        for group in actual:
            if group not in wanted:
                raise ValueError(f"ListedShares lists no share for '{group}'; it lists {', '.join(wanted) or 'none'}")
        total = sum(wanted[group] for group in actual)
        return {group: wanted[group] / total for group in actual}


class Scheme(abc.ABC):
    """Weights of the cells into which a scheme parts a corpus: a frozen dataclass. Their mean over it is 1."""

    @abc.abstractmethod
    def cell(self, document: Document) -> str:
        """The cell of a document."""

    @abc.abstractmethod
    def weights(self, sizes: Mapping[str, float]) -> Mapping[str, float]:
        """The weight of each cell, from how much there is in each.

        Raises:
          ValueError: when nothing is said of a group.
        """


@dataclass(frozen=True)
class Balance(Scheme):
    """Weights that give each group its target share: target over actual.

    Attributes:
      by: what makes the groups.
      target: the shares they should have.
    """

    by: Grouping
    target: Target = EqualShares()

    def cell(self, document: Document) -> str:
        return self.by.group(document)

    def weights(self, sizes: Mapping[str, float]) -> Mapping[str, float]:
        total = sum(sizes.values())
        actual = {group: size / total for group, size in sizes.items() if size}
        wanted = self.target.shares(actual)
        return {group: wanted[group] / actual[group] for group in actual}


@dataclass(frozen=True)
class Independence(Scheme):
    """Weights under which two groupings know nothing of one another: P(a) P(b) / P(a, b) for each pair that occurs
    (Kamiran and Calders, Data preprocessing techniques for classification without discrimination, 2012, section 4.3).

    Attributes:
      first, second: the groupings, such as a group of people and a label.
    """

    first: Grouping
    second: Grouping

    def cell(self, document: Document) -> str:
        return json.dumps([self.first.group(document), self.second.group(document)])

    def weights(self, sizes: Mapping[str, float]) -> Mapping[str, float]:
        total = sum(sizes.values())
        pairs = {cell: json.loads(cell) for cell, size in sizes.items() if size}
        sums: tuple[dict[str, float], dict[str, float]] = ({}, {})
        for cell, pair in pairs.items():
            for side, group in zip(sums, pair, strict=True):
                side[group] = side.get(group, 0.0) + sizes[cell]
        return {cell: sums[0][a] * sums[1][b] / (total * sizes[cell]) for cell, (a, b) in pairs.items()}
