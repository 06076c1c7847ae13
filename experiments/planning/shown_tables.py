"""The tables of docs/tpu.md, made of results."""

import math
from collections.abc import Iterator, Mapping

from experiments.document import table
from experiments.planning.found import Found
from experiments.planning.results import Result
from experiments.planning.shown import BAR, SHIPPED, Peer, Plan

_BAR_HEAD = (
    "model, context, rows a chip", "pod", "MaxText", "Espalier, fastest", "ratio", "in no more memory", "ratio",
)  # fmt: skip
_SHIPPED_HEAD = (
    "config", "pod", "mesh", "context", "tokens a step", "GiB a device", "of", "step, s", "bound, s", "MFU",
    "tokens/s/chip", "FLOPs/model",
)  # fmt: skip
_SEARCH_HEAD = (
    "config", "pod", "the fastest found", "time of a token", "GiB a device", "the config's", "scheduled", "compiled",
)  # fmt: skip
_CHANGES_HEAD = ("model, context, rows a chip", "pod", "fastest", "in no more memory")


def tables(results: Mapping[str, Result], searches: Mapping[str, Found]) -> str:
    """Beside MaxText, the shapes that ship, and what is faster; a plan without a result has dashes."""
    versions = sorted({result.provenance.libtpu for result in results.values()})
    return "\n".join(
        [
            f"libtpu {', '.join(versions) or '-'}.",
            "",
            "### Beside MaxText",
            "",
            table(_BAR_HEAD, (_beside(peer, results) for peer in BAR), left=2),
            "",
            "Configs and changes (each a `--set`) of these plans:",
            "",
            table(_CHANGES_HEAD, ((p.shape, p.topology, _named(p.fastest), _named(p.small)) for p in BAR), left=4),
            "",
            "### The shapes that ship",
            "",
            table(_SHIPPED_HEAD, _shipped(results), left=3),
            "",
            "### What a search finds for them",
            "",
            table(_SEARCH_HEAD, _searched(searches), left=3),
        ]
    )


def ratio(peer: Peer, plan: Plan, results: Mapping[str, Result]) -> float | None:
    """Our seconds over MaxText's; None without a result."""
    found = results.get(plan.key)
    return None if found is None else found.seconds / peer.seconds


def _beside(peer: Peer, results: Mapping[str, Result]) -> tuple[str, ...]:
    cells = [peer.shape, peer.topology, f"{_seconds(peer.seconds)} s, {peer.gib:.2f} GiB"]
    for plan in (peer.fastest, peer.small):
        found, over = results.get(plan.key), ratio(peer, plan, results)
        cells += ["-", "-"] if found is None else [f"{_seconds(found.seconds)} s, {found.gib:.2f} GiB", f"{over:.3f}"]
    return tuple(cells)


def _shipped(results: Mapping[str, Result]) -> Iterator[tuple[str, ...]]:
    for plan in SHIPPED:
        found = results.get(plan.key)
        if found is None:
            yield (_named(plan), plan.topology, *("-" for _ in _SHIPPED_HEAD[2:]))
            continue
        mesh = " x ".join(f"{axis} {size}" for axis, size in found.mesh.items())
        yield (
            _named(plan), plan.topology, mesh, f"{found.sequence:,}", f"{found.rows * found.sequence:,}",
            f"{found.gib:.2f}", f"{found.usable:.2f}", _seconds(found.seconds), _seconds(found.bound),
            f"{found.mfu:.1%}", f"{found.tokens:,.0f}", f"{found.recomputed:.3f}",
        )  # fmt: skip


def _searched(searches: Mapping[str, Found]) -> Iterator[tuple[str, ...]]:
    for plan in SHIPPED:
        found = searches.get(plan.key)
        if found is None:
            yield (_named(plan), plan.topology, *("-" for _ in _SEARCH_HEAD[2:]))
            continue
        changes = " ".join(f"`{change}`" for change in found.changes)
        yield (
            _named(plan), plan.topology, changes or "as it ships", f"{found.ratio:.3f}", f"{found.gib:.2f}",
            f"{found.own_gib:.2f}", str(found.scheduled), str(found.compiled),
        )  # fmt: skip


def _named(plan: Plan) -> str:
    return " ".join(f"`{part}`" for part in (plan.config, *plan.changes))


def _seconds(value: float) -> str:
    """Three figures after the first that counts, as far as they are known."""
    return f"{value:.{max(0, 3 - math.floor(math.log10(value)))}f}"
