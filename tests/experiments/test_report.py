"""The report: a well-formed page that holds the numbers, fetches nothing and escapes everything."""

import json
import math
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments import report, report_chart
from experiments.report_record import read
from train.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script>"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Parses a page: its elements, attributes and text; complains of a tag that does not close the last one."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def written(folder: Path, lines: list[dict], **files: str) -> Page:
    """The report of a run directory made of these metrics and files."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(files.pop("config", "{}"))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, content in files.items():
        (folder / name.replace("_txt", ".txt").replace("_json", ".json")).write_text(content)
    return Page(report.write_report(RunDirectory(folder)).read_text())


def test_the_page_holds_the_numbers(trained) -> None:
    page = Page((trained.path / "report.html").read_text())
    metrics = trained.metrics
    for key in ("train/loss", "eval/loss", "eval/bits_per_byte", "baseline/bz2_bits_per_byte"):
        assert f"{metrics[key]:.4f}" in page.text
    assert f"{metrics['baseline/xz_bits_per_byte']:.4f}" in page.text
    assert f"perplexity {math.exp(metrics['eval/loss']):,.4g}" in page.text
    memory = metrics["perf/peak_memory_bytes"]
    assert (f"{memory / 2**30:.2f} GiB" if memory >= 2**30 else f"{memory / 2**20:.2f} MiB") in page.text
    # 257 x 16 embedding, 64 x 16 positions, 4 x 16 x 16 attention, 2 x 16 x 32 feed-forward, 3 x 16 norms
    assert "7,232" in page.text
    assert f"{4 * 8 * 32:,}" in page.text
    assert "4 of 4 steps" in page.text
    assert "bottles" in page.text and "--config=bottles" in page.text
    assert "green bottles" not in page.text.split("Samples")[0]


def test_the_page_fetches_nothing_and_runs_nothing(trained) -> None:
    source = (trained.path / "report.html").read_text()
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    links = [value for name, value in page.attributes if name in ("href", "src", "srcset", "action")]
    assert links == ["data_card.html"]
    assert (trained.path / "data_card.html").read_text() == (trained.path / "data" / "data_card.html").read_text()
    assert "url(" not in source and "@import" not in source
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_hostile_text_is_only_text(trained) -> None:
    source = (trained.path / "report.html").read_text()
    assert "<script" not in source
    page = Page(source)
    # In the samples, the config and the difference.
    assert page.text.count(HOSTILE) >= 2


def test_everything_is_escaped(tmp_path) -> None:
    bad = f'"{HOSTILE}&\'\x1b\0'
    config = {"model": {bad: bad}, "steps": bad, "hooks": [{"type": "Report", "title": bad}], "data": None}
    environment = {"command": ["x", f"--config={bad}"], "time": bad, "devices": [bad], bad: bad}
    page = written(
        tmp_path / "run&<b>",
        [{"step": 1, "train/loss": 1.0, "note": bad}],
        config=json.dumps(config),
        samples_txt=f"{bad}\n--- sample 1 of 1, prompt {bad!r} ---\n{bad} and more\n",
        config_diff_txt=bad,
        environment_json=json.dumps(environment),
    )
    assert "script" not in page.tags and page.text.count("\\x1b") >= 4 and "\x1b" not in page.text


def test_the_verb_writes_it_anew(trained) -> None:
    before = (trained.path / "report.html").read_text()
    (trained.path / "report.html").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "experiments.report", f"--run={trained.path}"],
        cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{trained.path}/report.html\n", "")
    assert (trained.path / "report.html").read_text() == before


def test_a_run_that_has_nothing_yet(tmp_path) -> None:
    page = written(tmp_path / "young", [])
    assert "young" in page.text and "No metric was written yet" in page.text and "svg" not in page.tags
    with pytest.raises(FileNotFoundError, match="holds no run"):
        report.write_report(RunDirectory(tmp_path / "nothing"))


def test_a_run_without_evaluation_or_samples_and_with_one_point(tmp_path) -> None:
    page = written(tmp_path / "short", [{"step": 7, "train/loss": 3.25, "train/learning_rate": 1e-3}])
    assert "3.2500" in page.text and "not evaluated" in page.text and "Samples" not in page.text
    assert page.tags.count("svg") == 2 and page.tags.count("circle") == 2


@pytest.mark.parametrize("count", [3, 60])
def test_numbers_that_are_none(tmp_path, count: int) -> None:
    lines = [{"step": n, "train/loss": 2.0 / n, "train/grad_norm": math.inf} for n in range(1, count + 1)]
    lines[1]["train/loss"] = math.nan
    lines[-1] |= {"eval/loss": math.nan, "eval/bits_per_byte": math.inf, "perf/mfu": 0.415}
    page = written(tmp_path / "wild", lines)
    assert "train/loss was not finite 1 of " in page.text and "first at step 2 (nan)" in page.text
    assert f"train/grad_norm was not finite {count} of {count} times" in page.text
    assert "inf bits a byte" in page.text and "41.5%" in page.text
    drawn = [value for name, value in page.attributes if name in ("d", "cx", "cy", "y1") and value]
    assert drawn and not [value for value in drawn if "nan" in value or "inf" in value]


def test_a_torn_last_line_and_foreign_lines_are_left_out(tmp_path) -> None:
    written(tmp_path / "torn", [{"step": 1, "train/loss": 1.5}])
    with (tmp_path / "torn" / "metrics.jsonl").open("a") as file:
        file.write('[1]\n"x"\n{"loss": 3}\n{"step": 2, "train/lo')
    assert read(RunDirectory(tmp_path / "torn")).series == {"train/loss": [(1, 1.5)]}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (2.38, 3.79, [2, 2.5, 3, 3.5, 4]),
        (0, 300, [0, 100, 200, 300]),
        (1e-4, 1e-3, [0, 2e-4, 4e-4, 6e-4, 8e-4, 1e-3]),
        (-3, 4, [-4, -2, 0, 2, 4]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    assert report_chart.ticks(low, high) == expected


def test_points_lie_where_their_values_say() -> None:
    svg = report_chart.line_chart([report_chart.Line([(0, 0.0), (50, 5.0), (100, 10.0)])])
    path = Page(svg)
    (drawn,) = [value for name, value in path.attributes if name == "d"]
    xs, ys = zip(*(map(float, pair.split()) for pair in drawn.removeprefix("M").split("L")), strict=True)
    assert xs[1] == pytest.approx((xs[0] + xs[2]) / 2, abs=0.1) and ys[1] == pytest.approx((ys[0] + ys[2]) / 2, abs=0.1)
    assert xs[0] < xs[2] and ys[0] > ys[2]
    grid = [float(value) for name, value in path.attributes if name == "y1"]
    assert (max(grid), min(grid)) == (ys[0], ys[2])


def test_a_mean_is_a_mean() -> None:
    points = [(n, float(n * n)) for n in range(9)]
    assert report_chart.smoothed(points, 0) == points
    assert report_chart.smoothed(points, 1)[4] == (4, pytest.approx((9 + 16 + 25) / 3))
    assert report_chart.smoothed(points, 50)[0] == (0, 0.0)
    assert report_chart.smoothed([(1, math.nan), (2, 3.0)], 5) == [(2, 3.0)]


def test_thinning_keeps_spikes_and_gaps() -> None:
    points = [(n, 1.0) for n in range(100_000)]
    points[33_333], points[66_666] = (33_333, 99.0), (66_666, math.nan)
    thin = report_chart.thinned(points)
    assert len(thin) <= 410 and (33_333, 99.0) in thin and len(report_chart.stretches(thin)) == 2
    assert [step for step, _ in thin] == sorted(step for step, _ in thin)


def test_a_steep_beginning_is_left_out_of_long_curves_only() -> None:
    curve = [(n, 3.0 + 8 / n) for n in range(1, 1001)]
    # After step 50 the curve spans [3.008, 3.157]; what is above 3.157 + 0.25 * 0.149 is left out.
    first = report_chart.beginning(curve)
    assert 3 + 8 / first <= 3.1943 < 3 + 8 / (first - 1)
    assert report_chart.beginning(curve[:50]) == 1 and report_chart.beginning([]) == 0
    assert report_chart.beginning([(n, 1.0 + (n == 700)) for n in range(1000)]) == 0
    assert report_chart.beginning([(n, math.nan) for n in range(1000)]) == 0
