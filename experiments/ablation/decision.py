"""The tests that decide claims. Each says of a claim that it holds, that it fails, or that more seeds are needed.

"More seeds" is an answer of its own: a claim fails only where the data contradict it, never because p is above 0.05.
"""

import abc
import dataclasses
from collections.abc import Callable, Sequence

from experiments.ablation import power
from experiments.ablation.finding import Comparison, Finding, Standing
from experiments.ablation.metric import Metric
from experiments.ablation.scores import Scores
from experiments.ablation.significance import PairedTest, SignFlip, holm, page, page_terms

# Gives the scores of a metric; of the study's own for None.
Ask = Callable[[Metric | None], Scores]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision(abc.ABC):
    """A claim on arms, and how it is tested.

    Attributes:
      metric: what the arms are compared by; None: by the study's.
      alpha: chance of a false finding.
      test: of paired differences.
    """

    metric: Metric | None = None
    alpha: float = 0.05
    test: PairedTest = SignFlip()

    @property
    @abc.abstractmethod
    def arms(self) -> tuple[str, ...]:
        """The names of the arms it is about."""

    @abc.abstractmethod
    def decide(self, ask: Ask) -> Finding:
        """What the scores say."""

    @property
    def _told(self) -> str:
        """By what, where that is not what the whole study is judged by."""
        return "" if self.metric is None else f" in {self.metric.key}"

    def _check(self, **numbers: float) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"{type(self).__name__}.alpha is {self.alpha}; it is above 0 and below 0.5")
        for name, value in numbers.items():
            if value < 0:
                raise ValueError(f"{type(self).__name__}.{name} is {value}; it is 0 or more")
        if len(set(self.arms)) < max(len(self.arms), 2):
            raise ValueError(f"{type(self).__name__} of {', '.join(self.arms)}: it takes two arms or more, each once")


@dataclasses.dataclass(frozen=True)
class Pairwise(Decision):
    """Each of some arms against each of some others, by how far it is ahead.

    It holds if every pair is significantly above one bound: a claim on all pairs at once needs no correction (Berger
    1982). It fails if one pair, after Holm, is significantly below another.

    Attributes:
      names: the arms that the claim is in favour of.
      than: the others.
    """

    names: tuple[str, ...]
    than: tuple[str, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Both sides."""
        return (*self.names, *self.than)

    @property
    @abc.abstractmethod
    def _bounds(self) -> tuple[float, float]:
        """Above which a pair holds, and below which it fails."""

    @property
    @abc.abstractmethod
    def _claim(self) -> str:
        """In words."""

    def decide(self, ask: Ask) -> Finding:
        """Pair by pair."""
        scores, (above, below) = ask(self.metric), self._bounds
        pairs = [(better, worse) for better in self.names for worse in self.than]
        found = [scores.differences(*pair) for pair in pairs]
        for_it = [self.test.p(values, above) for values in found]
        against = holm([self.test.p([-v for v in values], -below) for values in found])
        standings = [_standing(yes, no, self.alpha) for yes, no in zip(for_it, against, strict=True)]
        comparisons = tuple(
            Comparison(*pair, tuple(values), p, adjusted, standing)
            for pair, values, p, adjusted, standing in zip(pairs, found, for_it, holm(for_it), standings, strict=True)
        )
        needed = [self._needed(v, len(pairs)) for v, s in zip(found, standings, strict=True) if s is Standing.OPEN]
        claim = self._claim + self._told
        return Finding(_joined(standings), max(needed, default=0), max(for_it), claim, comparisons)

    def _needed(self, values: Sequence[float], pairs: int) -> int:
        """Seeds that would decide a pair the one way or the other, as it looks now, besides those that there are."""
        above, below = self._bounds
        holds = power.for_difference(values, self.test, self.alpha, above)
        # One pair fails the claim, so that it must be the clearer, the more there are.
        fails = power.for_difference([-v for v in values], self.test, self.alpha / pairs, -below)
        return max(min(holds, fails) - len(values), 1)


@dataclasses.dataclass(frozen=True)
class Better(Pairwise):
    """Each of some arms is better than each of some others.

    A pair fails it that is significantly less ahead than the effect is worth.

    Attributes:
      worth: the smallest difference, in the metric's unit, that would count as the paper's effect.
    """

    worth: float = 0.0

    def __post_init__(self) -> None:
        self._check(worth=self.worth)

    @property
    def _bounds(self) -> tuple[float, float]:
        return 0.0, self.worth

    @property
    def _claim(self) -> str:
        return f"{_list(self.names)} better than {_list(self.than)}" + (
            f" by {self.worth:g} or more" if self.worth else ""
        )


@dataclasses.dataclass(frozen=True)
class NoWorse(Pairwise):
    """Each of some arms is worse than each of some others by less than a margin, if it is worse at all (Blackwelder
    1982).

    Attributes:
      margin: in the metric's unit; declared before anything runs.
    """

    margin: float

    def __post_init__(self) -> None:
        self._check(margin=self.margin)
        if self.margin <= 0:
            raise ValueError(f"NoWorse.margin is {self.margin}; it is above 0")

    @property
    def _bounds(self) -> tuple[float, float]:
        return -self.margin, -self.margin

    @property
    def _claim(self) -> str:
        return f"{_list(self.names)} no worse than {_list(self.than)} by {self.margin:g}"


@dataclasses.dataclass(frozen=True)
class Ordering(Decision):
    """Arms come in an order: Page's trend test over seeds.

    It fails if the trend goes the other way, or the first is ahead of the last by significantly less than `worth`.

    Attributes:
      names: the arms, the best first.
      worth: the smallest difference between the first and the last that would count as the paper's effect.
    """

    names: tuple[str, ...]
    worth: float = 0.0

    def __post_init__(self) -> None:
        self._check(worth=self.worth)

    @property
    def arms(self) -> tuple[str, ...]:
        """As ordered."""
        return self.names

    def decide(self, ask: Ask) -> Finding:
        """By the trend of all; neighbours are told besides."""
        scores = ask(self.metric)
        block = scores.block(self.names)
        p, reverse = (page(block), page(block[:, ::-1])) if len(block) else (1.0, 1.0)
        ends = scores.differences(self.names[0], self.names[-1])
        standing = _standing(p, min(2 * min(reverse, self.test.p([-v for v in ends], -self.worth)), 1.0), self.alpha)
        pairs = list(zip(self.names, self.names[1:], strict=False))
        found = [scores.differences(*pair) for pair in pairs]
        ps = [self.test.p(values) for values in found]
        comparisons = tuple(
            Comparison(
                *pair, tuple(values), one, adjusted, _standing(one, self.test.p([-v for v in values]), self.alpha)
            )
            for pair, values, one, adjusted in zip(pairs, found, ps, holm(ps), strict=True)
        )
        more = 0
        if standing is Standing.OPEN:
            terms = page_terms(block) if len(block) else []
            back = page_terms(block[:, ::-1]) if len(block) else []
            needed = [power.for_trend(each, len(self.names), self.alpha) for each in (terms, back)]
            needed.append(power.for_difference([-v for v in ends], self.test, self.alpha / 2, -self.worth))
            more = max(min(needed) - len(block), 1)
        return Finding(standing, more, p, f"{' before '.join(self.names)}{self._told}", comparisons)


@dataclasses.dataclass(frozen=True)
class Equivalent(Decision):
    """Two arms differ by less than a margin: two one-sided tests (Schuirmann 1987).

    It fails if the difference is significantly beyond the margin on either side.

    Attributes:
      names: the two arms.
      margin: in the metric's unit; declared before anything runs.
    """

    names: tuple[str, str]
    margin: float

    def __post_init__(self) -> None:
        self._check(margin=self.margin)
        if self.margin <= 0 or len(self.names) != 2:
            raise ValueError(f"Equivalent: {len(self.names)} arms within {self.margin}; it is two, within more than 0")

    @property
    def arms(self) -> tuple[str, ...]:
        """Both."""
        return self.names

    def decide(self, ask: Ask) -> Finding:
        """By both sides at once."""
        values = ask(self.metric).differences(*self.names)
        standing, more, p = within(values, self.margin, self.test, self.alpha)
        comparison = Comparison(*self.names, tuple(values), p, p, standing)
        claim = f"{_list(self.names)} within {self.margin:g} of each other{self._told}"
        return Finding(standing, more, p, claim, (comparison,))


@dataclasses.dataclass(frozen=True)
class AllOf(Decision):
    """Several claims, each of which must hold.

    Attributes:
      claims: each with a test, and maybe a metric, of its own.
    """

    claims: tuple[Decision, ...]

    def __post_init__(self) -> None:
        if not self.claims:
            raise ValueError("AllOf has no claims; it needs one or more")

    @property
    def arms(self) -> tuple[str, ...]:
        """Those of all."""
        return tuple(dict.fromkeys(name for claim in self.claims for name in claim.arms))

    def decide(self, ask: Ask) -> Finding:
        """Claim by claim."""
        found = tuple(claim.decide(ask) for claim in self.claims)
        more = max((each.more for each in found if each.standing is Standing.OPEN), default=0)
        standing = _joined([each.standing for each in found])
        return Finding(standing, more, max(e.p for e in found), "; ".join(e.claim for e in found), parts=found)


def within(values: Sequence[float], margin: float, test: PairedTest, alpha: float) -> tuple[Standing, int, float]:
    """Whether the mean of values is within a margin of 0, by two one-sided tests: as it stands, seeds needed, and p."""
    turned = [-v for v in values]
    p = max(test.p(each, -margin) for each in (values, turned))
    beyond = min(2 * min(test.p(each, margin) for each in (values, turned)), 1.0)
    standing = _standing(p, beyond, alpha)
    if standing is not Standing.OPEN:
        return standing, 0, p
    away = min(power.for_difference(v, test, alpha / 2, margin) for v in (values, turned))
    inside = power.for_equivalence(values, test, alpha, margin)
    return standing, max(min(inside, away) - len(values), 1), p


def _standing(for_it: float, against: float, alpha: float) -> Standing:
    """A difference that is there, but smaller than it is worth, fails."""
    if against <= alpha:
        return Standing.FAILS
    return Standing.HOLDS if for_it <= alpha else Standing.OPEN


def _joined(standings: Sequence[Standing]) -> Standing:
    if Standing.FAILS in standings:
        return Standing.FAILS
    return Standing.OPEN if Standing.OPEN in standings else Standing.HOLDS


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
