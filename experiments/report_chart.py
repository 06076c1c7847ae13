"""Line charts as SVG, drawn by hand: small, sharp in print, and styled by the page they stand in."""

import dataclasses
import html
import itertools
import math
from collections.abc import Callable, Sequence

from experiments.report_record import Points

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 12, 30
# More points than this are not told apart at this size.
_MOST_POINTS = 400


@dataclasses.dataclass(frozen=True)
class Line:
    """A series to draw.

    Attributes:
      points: steps and values; those that are not finite leave a gap.
      kind: its class in the page's style: `raw`, `main` or `eval`.
      dots: mark each point, with its value as a tooltip.
    """

    points: Points
    kind: str = "main"
    dots: bool = False


@dataclasses.dataclass(frozen=True)
class Level:
    """A horizontal line to compare with: a value and what it is."""

    value: float
    name: str


@dataclasses.dataclass(frozen=True)
class Along:
    """What a chart goes along: its name, and how the numbers of the axis are written."""

    name: str = "step"
    show: Callable[[float], str] = "{:,.0f}".format


def line_chart(
    lines: Sequence[Line],
    levels: Sequence[Level] = (),
    show: Callable[[float], str] | None = None,
    along: Along = Along(),
) -> str:
    """An SVG of lines over steps; empty if there is no finite point. `show` writes the values of the axis."""
    finite = [point for line in lines for point in line.points if math.isfinite(point[1])]
    if not finite:
        return ""
    show = show or short
    levels = [level for level in levels if math.isfinite(level.value)]
    ticks_y = ticks(*_span([value for _, value in finite] + [level.value for level in levels]))
    first, last = min(step for step, _ in finite), max(step for step, _ in finite)
    # The line starts at the axis: steps are counted from 0.
    low_x, high_x = (0 if first < last else first - 1), (last if first < last else last + 1)

    def x(step: float) -> float:
        return _LEFT + (step - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        share = (value - ticks_y[0]) / (ticks_y[-1] - ticks_y[0])
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_horizontal(y(tick), "grid") + _text(_LEFT - 6, y(tick) + 4, show(tick), "end") for tick in ticks_y]
    for tick in (t for t in ticks(low_x, high_x, 5) if low_x <= t <= high_x and t == int(t)):
        anchor = "end" if x(tick) > _WIDTH - 30 else "middle"
        parts.append(_text(x(tick), _HEIGHT - 10, along.show(tick), anchor))
    for level, offset in zip(levels, _offsets([y(level.value) for level in levels]), strict=True):
        at = y(level.value)
        parts.append(_horizontal(at, "level") + _text(_WIDTH - _RIGHT, at + offset, level.name, "end", "level"))
    for line in lines:
        path = " ".join(_stretch(s, x, y) for s in stretches(thinned(line.points)))
        parts.append(f'<path class="{line.kind}" d="{path}"/>' if path else "")
        lone = {s[0] for s in stretches(line.points) if len(s) == 1}
        parts += [
            f'<circle class="{line.kind}" cx="{x(step):.1f}" cy="{y(value):.1f}" r="3">'
            f"<title>{along.name} {along.show(step)}: {value:.6g}</title></circle>"
            for step, value in line.points
            if math.isfinite(value) and ((line.dots and len(line.points) <= 60) or (step, value) in lone)
        ]
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers 1, 2 or 5 times a power of ten apart, of which the outer two enclose [low, high]."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Rounded, since 3 * 0.1 is not 0.3.
    return [round(number * step, 12 - math.floor(math.log10(step))) for number in range(first, last + 1)]


def smoothed(points: Points, around: int) -> Points:
    """The mean of each point and up to `around` on either side; what is not finite is left out.

    As many on one side as on the other, so that a steep beginning is not dragged along.
    """
    points = [point for point in points if math.isfinite(point[1])]
    sums = list(itertools.accumulate((value for _, value in points), initial=0.0))
    found = []
    for i, (step, _) in enumerate(points):
        reach = min(around, i, len(points) - 1 - i)
        found.append((step, (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)))
    return found


def beginning(points: Points) -> int:
    """The first step worth showing of a long curve: its steep beginning would make the rest look flat.

    Left out are the first points as long as they are above all that comes after a twentieth of the
    curve, by more than a quarter of the range there. A spike later on stays.
    """
    later = [value for _, value in points[len(points) // 20 :] if math.isfinite(value)]
    if len(points) < 100 or not later:
        return points[0][0] if points else 0
    limit = max(later) + 0.25 * (max(later) - min(later))
    return next((step for step, value in points if value <= limit), points[0][0])


def thinned(points: Points, most: int = _MOST_POINTS) -> Points:
    """At most about `most` points: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(points) <= most:
        return points
    size = -(-2 * len(points) // most)
    found = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        # A bucket with a gap keeps the gap.
        gap = next((point for point in bucket if not math.isfinite(point[1])), None)
        if gap is not None:
            found.append(gap)
            continue
        ends = {min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])}
        found += sorted(ends)
    return found


def stretches(points: Points) -> list[Points]:
    """The runs of finite points between those that are not."""
    found: list[Points] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            found[-1].append(point)
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def short(value: float) -> str:
    """A number as a label of an axis: 0.5, 8e-4, 12k, 1.5M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    if 0 < abs(value) < 1e-2:
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:g}"


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = abs(high) * 0.1 or 1.0
        return low - half, high + half
    return low, high


def _offsets(heights: list[float]) -> list[float]:
    """Where names of levels stand: above their line, or below it where another's is just above."""
    return [15.0 if any(0 <= at - other < 17 and i != j and (at != other or i > j)
                        for j, other in enumerate(heights)) else -5.0 for i, at in enumerate(heights)]


def _stretch(points: Points, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)


def _horizontal(at: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
