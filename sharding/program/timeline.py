"""The schedule of a program, played: one core that does one operation after another, and links and copies beside it.

An operation takes what `pricing` says. A transfer that was started runs beside what follows, after those before it in
its lane: collectives over the same groups, copies between HBM and on-chip memory, copies to and from the host. Where
its end is asked for, the core waits for what is left. A loop is played once and takes its trips times as long.
"""

import collections
import dataclasses
from collections.abc import Callable

from sharding.program import slices
from sharding.program.collectives import Exchange, Network, kind_of
from sharding.program.loops import trips
from sharding.program.pricing import FREE, Prices
from sharding.program.report import Loop
from sharding.program.shapes import Array, Space
from sharding.program.slices import rendezvous
from sharding.program.tally import Tally
from sharding.program.text import Computation, Instruction, Module

_COPIES = frozenset(("copy", "slice", "dynamic-slice", "dynamic-update-slice"))
_MEMORIES = (Space.HBM, Space.ON_CHIP, Space.HOST)
# Fields of `Seconds` that waiting for a transfer goes to.
_COLLECTIVE, _DMA, _HOST = "exposed_collectives", "exposed_dma", "exposed_host"


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Something that runs beside the core: when it ends, and the field of `Seconds` that waiting for it goes to."""

    end: float
    field: str


@dataclasses.dataclass(frozen=True)
class Player:
    """Plays computations of a module.

    Attributes:
      module: the program.
      prices: of what the core does.
      network: for what devices send each other.
      tally: that everything is added to.
    """

    module: Module
    prices: Prices
    network: Network
    tally: Tally

    def play(self, where: Computation, times: float, depth: int = 0) -> float:
        """Runs a computation, and adds it up `times` times; returns the seconds of once."""
        return _Run(self, where, times, depth).seconds()


class _Run:
    """One computation, once."""

    def __init__(self, player: Player, where: Computation, times: float, depth: int) -> None:
        self._player, self._where, self._times, self._depth = player, where, times, depth
        self._tally, self._module, self._prices = player.tally, player.module, player.prices
        self._now = 0.0
        self._free: dict[str, float] = collections.defaultdict(float)
        self._pending: dict[str, Transfer] = {}
        # Collectives of the SparseCore that are started before what they send is there.
        self._unfed: dict[str, Exchange] = {}
        self._steps = _Steps(self._prices, where)

    def seconds(self) -> float:
        """Runs it."""
        special: dict[str, Callable[[Instruction], None]] = {
            "while": self._loop, "conditional": self._branches, "call": self._call, "async-update": self._update,
            "send": self._to_host, "recv": self._from_host,
        }  # fmt: skip
        for each in self._where.instructions:
            if each.opcode in FREE:
                continue
            if each.opcode in special:
                special[each.opcode](each)
            elif each.opcode == "recv-done":
                self._wait(self._pending.pop(rendezvous(self._where.operand(each, 0)) or each.operands[0], None))
            elif each.opcode.endswith("-done"):
                self._wait(self._pending.pop(each.operands[0], None) if each.operands else None)
            elif each.opcode.endswith("-start"):
                self._start(each)
            elif kind_of(each.opcode):
                self._wait(self._send(self._player.network.exchange(self._where, each), False))
            else:
                self._work(each)
        if self._pending or self._unfed:
            self._tally.note("a transfer is not waited for in the computation that starts it")
        return self._now

    def _loop(self, loop: Instruction) -> None:
        found = trips(self._module, self._where, loop)
        if found.count is None:
            self._tally.note(f"loop {loop.name}: counted once, since {found.how}")
        elif "taken to" in found.how:
            self._tally.note(f"loop {loop.name}: {found.count} trips, {found.how}")
        count = 1 if found.count is None else found.count
        self._tally.loops.append(Loop(loop.name, count, found.how, self._times, self._depth))
        body = self._module.called(loop, "body")
        self._now += count * self._player.play(body, self._times * count, self._depth + 1)

    def _branches(self, choice: Instruction) -> None:
        names = choice.called("branch_computations") or tuple(
            filter(None, (choice.attribute("true_computation"), choice.attribute("false_computation")))
        )
        self._tally.note("a conditional counts the mean of its branches")
        for name in names:
            branch = self._module.computations[name]
            self._now += self._player.play(branch, self._times / len(names), self._depth + 1) / len(names)

    def _call(self, call: Instruction) -> None:
        self._now += self._player.play(self._module.called(call, "to_apply"), self._times, self._depth + 1)

    def _update(self, update: Instruction) -> None:
        source = update.operands[0] if update.operands else ""
        if source in self._unfed:
            self._pending[update.name] = self._send(self._unfed.pop(source), True)
        elif source in self._pending:
            self._pending[update.name] = self._pending.pop(source)

    def _start(self, start: Instruction) -> None:
        opcode = start.opcode.removesuffix("-start")
        if kind_of(opcode):
            self._pending[start.name] = self._send(self._player.network.exchange(self._where, start), True)
        elif opcode in _COPIES:
            self._pending[start.name] = self._copied(start.arrays)
        elif opcode == "async":
            self._start_call(start)

    def _start_call(self, start: Instruction) -> None:
        """An asynchronous call: of collectives, of one that the SparseCore does, or of a copy."""
        body = self._module.called(start, "calls")
        inside = self._prices.held(body).collectives
        if inside:
            begun = [self._send(self._player.network.exchange(where, each), True) for where, each in inside]
            self._pending[start.name] = max(begun, key=lambda transfer: transfer.end)
            return
        names = [name for each in body.instructions for name in each.called("called_computations")]
        opaque = [self._module.computations[name] for name in names if name in self._module.computations]
        exchange = self._player.network.sparse_core(start, body, opaque)
        if exchange is None:
            self._pending[start.name] = self._moved(body)
        elif any(user.opcode == "async-update" for user in self._where.users.get(start.name, ())):
            self._unfed[start.name] = exchange
        else:
            self._pending[start.name] = self._send(exchange, True)

    def _to_host(self, send: Instruction) -> None:
        """What leaves a slice, which its `recv` waits for; or something for the host alone."""
        exchange = self._player.network.between_slices(self._where, send)
        nbytes = sum(each.padded_bytes for each in self._where.operand(send, 0).arrays)
        if exchange is None:
            self._pending[send.name] = self._over_pcie(nbytes)
        else:
            self._tally.hbm_bytes += nbytes * self._times
            self._pending[rendezvous(send) or send.name] = self._send(exchange, True)

    def _from_host(self, receive: Instruction) -> None:
        nbytes = receive.arrays[0].padded_bytes
        if slices.carried(receive, None) is None:
            self._pending[rendezvous(receive) or receive.name] = self._over_pcie(nbytes)
        else:
            self._tally.hbm_bytes += nbytes * self._times

    def _copied(self, arrays: tuple[Array, ...]) -> Transfer:
        """A copy: its source and its result are among these arrays; a slice's is the smaller one."""
        held = [each for each in arrays if each.space in _MEMORIES]
        nbytes = min((each.padded_bytes for each in held), default=0.0)
        spaces = {each.space for each in held}
        if Space.HOST in spaces:
            return self._over_pcie(nbytes)
        return self._dma(nbytes if Space.ON_CHIP in spaces else 2 * nbytes)

    def _moved(self, body: Computation) -> Transfer:
        held = [each for each in body.root.arrays if each.space in _MEMORIES]
        nbytes = sum(each.padded_bytes for each in held)
        if any(array.space == Space.HOST for each in body.instructions for array in each.arrays):
            return self._over_pcie(nbytes)
        return self._dma(nbytes)

    def _dma(self, nbytes: float) -> Transfer:
        self._tally.hbm_bytes += nbytes * self._times
        return Transfer(self._reserve(_DMA, self._prices.copied(nbytes)), _DMA)

    def _over_pcie(self, nbytes: float) -> Transfer:
        return Transfer(self._reserve(_HOST, self._prices.fetched(nbytes)), _HOST)

    def _send(self, exchange: Exchange, asynchronous: bool) -> Transfer:
        self._tally.ran(exchange, asynchronous, self._times)
        return Transfer(self._reserve(exchange.lane, exchange.seconds), _COLLECTIVE)

    def _reserve(self, lane: str, seconds: float) -> float:
        self._free[lane] = max(self._now, self._free[lane]) + seconds
        return self._free[lane]

    def _wait(self, transfer: Transfer | None) -> None:
        if transfer is not None and transfer.end > self._now:
            self._tally.waited(transfer.field, transfer.end - self._now, self._times)
            self._now = transfer.end

    def _work(self, operation: Instruction) -> None:
        inside = self._prices.inside(self._where, operation)
        awaited = []
        for where, each in inside.collectives:
            first, last = self._steps.advance(each)
            if first:
                beside = self._steps.several(each) or inside.flops > 0
                transfer = self._send(self._player.network.exchange(where, each), beside)
                self._pending[_chain(each)] = transfer
            if last:
                awaited.append(self._pending.pop(_chain(each)))
        work = self._prices.work(self._where, operation)
        if work is not None:
            self._tally.work(work, self._times)
            self._now += work.seconds
        for transfer in awaited:
            self._wait(transfer)


class _Steps:
    """Collectives inside fusions: fusions that share a channel carry one collective on, step by step."""

    def __init__(self, prices: Prices, where: Computation) -> None:
        self._all: collections.Counter[str] = collections.Counter()
        self._done: collections.Counter[str] = collections.Counter()
        for each in where.instructions:
            if each.opcode == "fusion":
                self._all.update(_chain(step) for _, step in prices.inside(where, each).collectives)

    def several(self, step: Instruction) -> bool:
        """Whether a step is one of several."""
        return self._all[_chain(step)] > 1

    def advance(self, step: Instruction) -> tuple[bool, bool]:
        """Takes a step; tells whether it was the first, and whether it was the last."""
        chain = _chain(step)
        self._done[chain] += 1
        return self._done[chain] == 1, self._done[chain] == self._all[chain]


def _chain(step: Instruction) -> str:
    return f"channel {step.attribute('channel_id') or step.name}"
