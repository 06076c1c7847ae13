"""What is added up while a program's schedule is walked."""

import collections

from sharding.program.collectives import Exchange
from sharding.program.pricing import Category, Work
from sharding.program.report import Collective, Loop, Seconds


class Tally:
    """Sums over instructions, each as often as it runs."""

    def __init__(self) -> None:
        self.flops = self.kernel_flops = self.hbm_bytes = self.cycles = self.estimated = 0.0
        self.loops: list[Loop] = []
        self.notes: dict[str, None] = {}
        self._seconds: collections.Counter[str] = collections.Counter()
        self._runs: dict[Exchange, collections.Counter[bool]] = {}

    def work(self, work: Work, times: float) -> None:
        """An operation ran."""
        if work.category is Category.KERNEL:
            self.kernel_flops += work.flops * times
        else:
            self.flops += work.flops * times
        self.hbm_bytes += work.hbm_bytes * times
        self.cycles += (work.cycles or 0) * times
        self.estimated += 0 if work.cycles is None else 1
        self._seconds[work.category.value] += work.seconds * times

    def waited(self, field: str, seconds: float, times: float) -> None:
        """The core stood still; `field` is that of `Seconds`."""
        self._seconds[field] += seconds * times

    def ran(self, exchange: Exchange, asynchronous: bool, times: float) -> None:
        """A collective ran."""
        self._runs.setdefault(exchange, collections.Counter())[asynchronous] += times

    def note(self, text: str) -> None:
        """Something was assumed."""
        self.notes[text] = None

    def seconds(self) -> Seconds:
        """Simulated time."""
        return Seconds(**self._seconds)

    def collectives(self) -> tuple[Collective, ...]:
        """By kind and axes, most bytes first."""
        found: dict[tuple, list[tuple[Exchange, collections.Counter[bool]]]] = {}
        for exchange, runs in self._runs.items():
            key = exchange.kind, exchange.axes, exchange.size, exchange.between_slices
            found.setdefault(key, []).append((exchange, runs))
        rows = [
            Collective(
                kind, axes, size,
                count=float(sum(runs.total() for _, runs in group)),
                asynchronous=float(sum(runs[True] for _, runs in group)),
                payload_bytes=sum(each.payload_bytes * runs.total() for each, runs in group),
                sent_bytes=sum(each.sent_bytes * runs.total() for each, runs in group),
                seconds=sum(each.seconds * runs.total() for each, runs in group),
                between_slices=between,
                scattered=float(sum(runs.total() for each, runs in group if each.scattered)),
            )
            for (kind, axes, size, between), group in found.items()
        ]  # fmt: skip
        return tuple(sorted(rows, key=lambda row: -row.payload_bytes))

