"""The tables of a study: what its page, its Markdown and the index show, from its findings alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from train.sight import duration

Row = tuple[str, ...]
MISSING = "-"


def figures(found: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """The paper's numbers and ours, an arm a row, each also as the difference from the first."""
    unit = found["metric"]["unit"]
    head = ("arm", "paper", "from the first", f"here ({unit})", "from the first", "95% interval", "seeds", "setting")
    arms = found["arms"]
    first = arms[0]
    rows = []
    for arm in arms:
        paper, base = (each["paper"]["value"] if each["paper"] else None for each in (arm, first))
        sd = f" ± {arm['sd']:.4f}" if arm["sd"] is not None else ""
        rows.append(
            (
                arm["name"],
                arm["paper"]["told"] if arm["paper"] else MISSING,
                _away(paper, base, arm is first, ".3f"),
                f"{arm['mean']:.4f}{sd}" if arm["mean"] is not None else MISSING,
                _away(arm["mean"], first["mean"], arm is first, ".4f"),
                interval(arm["interval"]),
                str(len(arm["values"])),
                arm["chosen"] or MISSING,
            )
        )
    return head, rows


def comparisons(found: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """Pair by pair: by how much the one is ahead of the other, and what that says."""
    head = ("arm", "against", "ahead by", "95% interval", "p", "p, after Holm", "alone")
    rows = [
        (
            pair["better"],
            pair["worse"],
            f"{pair['mean']:.4f}" if pair["mean"] is not None else MISSING,
            interval(pair["interval"]),
            f"{pair['p']:.3g}",
            f"{pair['adjusted']:.3g}",
            pair["standing"],
        )
        for pair in _pairs(found)
    ]
    return head, rows


def costs(found: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """What a run of each arm cost."""
    head = ("arm", "weights", "FLOPs a run", "time a run", "time a step")
    rows = [
        (
            arm["name"],
            f"{arm['weights']:,}" if arm["weights"] else MISSING,
            f"{arm['flops']:.3g}" if arm["flops"] else MISSING,
            duration(arm["seconds"]) if arm["seconds"] else MISSING,
            f"{1000 * arm['step_seconds']:.1f} ms" if arm["step_seconds"] else MISSING,
        )
        for arm in found["arms"]
    ]
    return head, rows


def overview(studies: Sequence[Mapping[str, Any]]) -> tuple[Row, list[Row]]:
    """A study a row."""
    head = ("study", "scale", "paper", "hypothesis", "verdict", "seeds", "runs", "time")
    rows = [
        (
            found["study"],
            found["scale"],
            f"{found['paper']['authors']} {found['paper']['year']}, {found['paper']['table']}",
            found["hypothesis"],
            found["verdict"]["told"],
            str(found["seeds"]),
            str(found["runs"]["finished"]),
            duration(found["runs"]["seconds"]),
        )
        for found in studies
    ]
    return head, rows


def summary(found: Mapping[str, Any]) -> str:
    """A sentence on what was run."""
    runs = found["runs"]
    failed = f", {runs['failed']} failed" if runs["failed"] else ""
    return (
        f"{len(found['arms'])} arms, {found['seeds']} seeds each; {runs['finished']} runs{failed}, "
        f"{runs['flops']:.3g} FLOPs and {duration(runs['seconds'])} in all; {found['budget']}."
    )


def interval(ends: Sequence[float | None]) -> str:
    """Both ends; `-` where there are none."""
    return MISSING if None in ends else f"[{ends[0]:.4f}, {ends[1]:.4f}]"


def _pairs(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from found["comparisons"]
    for part in found["parts"]:
        yield from _pairs(part)


def _away(value: float | None, base: float | None, first: bool, form: str) -> str:
    return MISSING if first or value is None or base is None else f"{value - base:+{form}}"
