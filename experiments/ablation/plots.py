"""Pictures of a study as SVG text: learning curves, a scatter of all seeds, what tuning found."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from experiments.report_style import COLOURS

_WIDE, _SMALL = (6.4, 3.4), (4.4, 3.0)
_SETTINGS = {
    # Text stays text: it can be searched, and takes the page's font.
    "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif", "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": "#8b8576", "axes.labelcolor": "#6a726d", "text.color": "#1f2421",
    "xtick.color": "#6a726d", "ytick.color": "#6a726d", "grid.color": "#e8eae4", "axes.grid": True,
    "axes.axisbelow": True, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip
# Which program drew it, and when, says nothing of the study.
_UNSAID = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_DASHES = ("-", "--", ":")


def curves(found: Mapping[str, Any]) -> str:
    """The metric over steps: the mean over seeds, and a band from the lowest to the highest. Empty without curves."""
    drawn = [arm for arm in found["arms"] if len(arm["curve"]) > 1]
    if not drawn:
        return ""
    with _picture("curves", _WIDE) as (axes, svg):
        shown = []
        for i, arm in enumerate(found["arms"]):
            points = [point for point in arm["curve"] if None not in point]
            # The steep beginning would make all the rest look flat.
            points = points[len(points) // 4 :] if len(points) >= 4 else points
            if arm not in drawn or not points:
                continue
            steps, mean, low, high = zip(*points, strict=True)
            shown += mean
            axes.plot(steps, mean, _dash(i), color=_colour(i), label=arm["name"], linewidth=1.6)
            axes.fill_between(steps, low, high, color=_colour(i), alpha=0.15, linewidth=0)
        _within(axes, shown)
        axes.set_xlabel("step")
        axes.set_ylabel(_metric(found))
        axes.legend(fontsize=8, ncols=2)
    return svg.getvalue()


def scatter(found: Mapping[str, Any]) -> str:
    """Every seed of every arm, with the mean and its interval. Empty without values."""
    arms = [arm for arm in found["arms"] if arm["values"]]
    if not arms:
        return ""
    with _picture("scatter", _WIDE) as (axes, svg):
        for i, arm in enumerate(arms):
            values = list(arm["values"].values())
            # Seeds side by side, the same one at the same place in each arm.
            places = [i + 0.3 * (k / max(len(values) - 1, 1) - 0.5) for k in range(len(values))]
            axes.plot(places, values, "o", color=_colour(i), markersize=4, alpha=0.75)
            axes.plot([i - 0.28, i + 0.28], [arm["mean"]] * 2, color=_colour(i), linewidth=1.6)
            if None not in arm["interval"]:
                axes.vlines(i + 0.33, *arm["interval"], color=_colour(i), linewidth=1.6)
        axes.set_xticks(range(len(arms)), [arm["name"] for arm in arms], rotation=25, ha="right")
        axes.grid(axis="x", visible=False)
        axes.set_ylabel(_metric(found))
    return svg.getvalue()


def beside_paper(found: Mapping[str, Any]) -> str:
    """The paper's figures against ours, an arm a point. Empty with fewer than two arms that have both."""
    arms = [(i, arm) for i, arm in enumerate(found["arms"]) if arm["paper"] and arm["mean"] is not None]
    if len(arms) < 2:
        return ""
    with _picture("paper", _SMALL) as (axes, svg):
        for i, arm in arms:
            axes.errorbar(
                arm["paper"]["value"], arm["mean"], xerr=arm["paper"]["sd"] or None, yerr=arm["sd"],
                fmt="o", color=_colour(i), markersize=4, linewidth=1,
            )  # fmt: skip
            axes.annotate(arm["name"], (arm["paper"]["value"], arm["mean"]), (4, 4), textcoords="offset points", size=8)
        axes.set_xlabel("paper")
        axes.set_ylabel("here")
    return svg.getvalue()


def tuning(found: Mapping[str, Any]) -> str:
    """The metric over the setting that was tuned, an arm a line. Empty unless one number was tuned."""
    rows = [row for arm in found["arms"] for row in arm["tuning"]]
    keys = {key for row in rows for key in row["setting"]}
    if len(keys) != 1 or len({tuple(row["setting"].values()) for row in rows}) < 2:
        return ""
    (key,) = keys
    if not all(isinstance(row["setting"].get(key), int | float) for row in rows):
        return ""
    with _picture("tuning", _SMALL) as (axes, svg):
        shown = []
        for i, arm in enumerate(found["arms"]):
            points = sorted((r["setting"][key], r["value"]) for r in arm["tuning"] if r["value"] is not None)
            shown += [value for _, value in points]
            axes.plot(*zip(*points, strict=True) if points else ((), ()), _dash(i), marker="o", markersize=3,
                      color=_colour(i), linewidth=1.2)  # fmt: skip
        if all(value > 0 for row in rows for value in row["setting"].values()):
            axes.set_xscale("log")
        _within(axes, shown)
        axes.set_xlabel(key)
        axes.set_ylabel(_metric(found))
    return svg.getvalue()


@contextmanager
def _picture(name: str, size: tuple[float, float]) -> Iterator[tuple[Axes, io.StringIO]]:
    """Axes to draw on; the SVG is there when the block ends. Equal data give equal text."""
    svg = io.StringIO()
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure, axes = plt.subplots(figsize=size)
        try:
            yield axes, svg
            whole = io.StringIO()
            figure.savefig(whole, format="svg", transparent=True, metadata=_UNSAID)
            # Without what only a file of its own needs.
            svg.write(whole.getvalue().partition("<svg")[1] + whole.getvalue().partition("<svg")[2])
        finally:
            plt.close(figure)


def _within(axes: Axes, values: Sequence[float]) -> None:
    """Arms that diverged do not squeeze the others: above the middle, so much is shown as three halves reach."""
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return
    low, middle, high = finite[0], finite[len(finite) // 2], finite[-1]
    if high - middle > 4 * (middle - low) > 0:
        axes.set_ylim(low - 0.1 * (middle - low), middle + 3 * (middle - low))


def _metric(found: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (found["metric"]["key"], found["metric"]["unit"]) if part)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _dash(i: int) -> str:
    return _DASHES[i // len(COLOURS) % len(_DASHES)]
