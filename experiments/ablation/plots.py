"""Pictures of a study as SVG text: learning curves, a scatter of all seeds, what tuning found."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from experiments.report_style import COLOURS

_SIZE = (6.4, 3.4)
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
    shown, wanted = [], [arm["name"] for arm in _shown(found)]
    with _picture("curves") as (axes, svg):
        for i, arm in enumerate(found["arms"]):
            points = [point for point in arm["curve"] if None not in point]
            # The steep beginning would make all the rest look flat.
            points = points[len(points) // 4 :] if len(points) >= 4 else points
            if arm not in drawn or not points:
                continue
            steps, mean, low, high = zip(*points, strict=True)
            shown += [*low, *high] if arm["name"] in wanted else []
            axes.plot(steps, mean, _dash(i), color=_colour(i), label=arm["name"], linewidth=1.6)
            axes.fill_between(steps, low, high, color=_colour(i), alpha=0.15, linewidth=0)
        if shown:
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
    with _picture("scatter") as (axes, svg):
        low, high = _within(axes, [v for arm in _shown(found) for v in arm["values"].values()] or [0.0])
        for i, arm in enumerate(arms):
            values = list(arm["values"].values())
            # Seeds side by side, the same one at the same place in each arm.
            places = [i + 0.3 * (k / max(len(values) - 1, 1) - 0.5) for k in range(len(values))]
            axes.plot(places, values, "o", color=_colour(i), markersize=4, alpha=0.75)
            axes.plot([i - 0.28, i + 0.28], [arm["mean"]] * 2, color=_colour(i), linewidth=1.6)
            if not low <= arm["mean"] <= high:
                above = arm["mean"] > high
                axes.annotate(
                    f"{arm['mean']:.3f} {'↑' if above else '↓'}", (i, high if above else low), (0, -9 if above else 3),
                    textcoords="offset points", ha="center", size=8, color=_colour(i),
                )  # fmt: skip
            elif None not in arm["interval"]:
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
    with _picture("paper") as (axes, svg):
        for i, arm in arms:
            axes.errorbar(
                arm["paper"]["value"], arm["mean"], xerr=arm["paper"]["sd"] or None, yerr=arm["sd"],
                fmt="o", color=_colour(i), markersize=4, linewidth=1,
            )  # fmt: skip
            axes.annotate(arm["name"], (arm["paper"]["value"], arm["mean"]), (4, 4), textcoords="offset points", size=8)
        axes.margins(x=0.15)
        axes.locator_params(axis="x", nbins=6)
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
    shown, wanted = [], [arm["name"] for arm in _shown(found)]
    with _picture("tuning") as (axes, svg):
        for i, arm in enumerate(found["arms"]):
            points = sorted((r["setting"][key], r["value"]) for r in arm["tuning"] if r["value"] is not None)
            shown += [value for _, value in points] if arm["name"] in wanted else []
            axes.plot(*zip(*points, strict=True) if points else ((), ()), _dash(i), marker="o", markersize=3,
                      color=_colour(i), linewidth=1.2)  # fmt: skip
        tried = sorted({row["setting"][key] for row in rows})
        if tried[0] > 0:
            axes.set_xscale("log")
        axes.set_xticks(tried, [f"{value:g}" for value in tried], minor=False)
        axes.minorticks_off()
        if shown:
            _within(axes, shown)
        axes.set_xlabel(key)
        axes.set_ylabel(_metric(found))
    return svg.getvalue()


def sweep(found: Mapping[str, Any]) -> str:
    """The loss of all runs that judge, over what they were tried with: the one number that they differ in, or weights.

    Empty where arms are judged by a run a seed.
    """
    # Of results that were written before there were any of these, there is nothing to draw.
    rows = [row for arm in found["arms"] for row in arm.get("sweep", ())]
    keys = {key for row in rows for key in row["setting"]}
    key = keys.pop() if len(keys) == 1 else "weights"
    places = {row["setting"].get(key, row["weights"]) for row in rows}
    if len(places) < 2 or not all(isinstance(place, int | float) for place in places):
        return ""
    with _picture("sweep") as (axes, svg):
        for i, arm in enumerate(found["arms"]):
            mine = sorted(arm.get("sweep", ()), key=lambda row: row["setting"].get(key, row["weights"]))
            at = [row["setting"].get(key, row["weights"]) for row in mine]
            mean, low, high = ([row[name] for row in mine] for name in ("value", "low", "high"))
            axes.plot(at, mean, _dash(i), marker="o", markersize=3, color=_colour(i), label=arm["name"], linewidth=1.2)
            axes.fill_between(at, low, high, color=_colour(i), alpha=0.15, linewidth=0)
        if min(places) > 0:
            axes.set_xscale("log")
        axes.set_xlabel(key)
        axes.set_ylabel(found["metric"]["key"])
        axes.legend(fontsize=8, ncols=2)
    return svg.getvalue()


@contextmanager
def _picture(name: str) -> Iterator[tuple[Axes, io.StringIO]]:
    """Axes to draw on; the SVG is there when the block ends. Equal data give equal text."""
    svg = io.StringIO()
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure, axes = plt.subplots(figsize=_SIZE)
        try:
            yield axes, svg
            whole = io.StringIO()
            figure.savefig(whole, format="svg", transparent=True, metadata=_UNSAID)
            # Without what only a file of its own needs.
            svg.write(whole.getvalue().partition("<svg")[1] + whole.getvalue().partition("<svg")[2])
        finally:
            plt.close(figure)


def _shown(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The arms that a picture is made to show: those that are only to be bad would squeeze the others."""
    bad = {pair["worse"] for pair in found["control"]["comparisons"]} - set(found["claim"].get("arms", ()))
    return [arm for arm in found["arms"] if arm["name"] not in bad] or list(found["arms"])


def _within(axes: Axes, values: Sequence[float]) -> tuple[float, float]:
    """Shows these values, and whatever lies between them. Returns the ends of the axis."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or abs(high) * 0.01 or 1.0
    axes.set_ylim(low - room, high + room)
    return low - room, high + room


def _metric(found: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (found["metric"]["key"], found["metric"]["unit"]) if part)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _dash(i: int) -> str:
    return _DASHES[i // len(COLOURS) % len(_DASHES)]
