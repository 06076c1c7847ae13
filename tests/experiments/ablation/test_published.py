"""What is written of a study: whole, escaped, the same from the same results; and the docs are of those committed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from etils import epath

from experiments.ablation.decision import AllOf, Better
from experiments.ablation.executor import Executor
from experiments.ablation.findings import findings
from experiments.ablation.page import page
from experiments.ablation.plan import Plan, Trial
from experiments.ablation.published import DOCS, RESULTS, commit, docs_text, read, write
from experiments.ablation.runner import run
from experiments.ablation.store import Store
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Everywhere, Tuned

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def found(study: Study, tmp_path: Path, executor: type[Executor], honest: Callable[[Trial], float]) -> dict:
    arms = tuple(dataclasses.replace(arm, changes={"optimizer.decay": i / 10}) for i, arm in enumerate(study.arms))
    study = dataclasses.replace(study, arms=arms, note=HOSTILE)
    scale = dataclasses.replace(study.scales["cpu"], tuning=Tuned(values("schedule.peak", 0.1, 0.2, 0.3)))

    def loss(trial: Trial) -> float | str:
        if trial.arm == "bad" and trial.request.seed == 3:
            return f"it fell over {HOSTILE}"
        return honest(trial) + 0.1 * abs(trial.experiment.schedule.peak - 0.2)

    with executor(loss) as made:
        ran = run(Plan(study, scale, study.arms), Store(tmp_path / "out"), made, lambda line: None)
    return findings("miniature", "cpu", ran, ["steps=4"])


def test_findings_hold_all_that_is_to_be_told(found: dict) -> None:
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    one, three, bad = found["arms"]
    assert one["values"] == pytest.approx({str(s): 2.0 + 0.01 * s for s in range(5)})
    assert one["mean"] == pytest.approx(2.02) and one["sd"] == pytest.approx(0.0158113883)
    assert three["paper"]["value"] == 0.8 and bad["paper"] is None and three["chosen"] == "schedule.peak=0.2"
    assert [row["setting"]["schedule.peak"] for row in one["tuning"]] == [0.1, 0.2, 0.3]
    assert one["curve"] == [[2, *map(pytest.approx, (3.02, 3.0, 3.04))], [4, *map(pytest.approx, (2.02, 2.0, 2.04))]]
    assert one["changes"] == ["optimizer.decay: 0.1 -> 0.0"] and three["changes"] == []
    assert len(bad["values"]) == 4 and bad["failed"] == [f"it fell over {HOSTILE}"]
    assert found["runs"] | {"seconds": 0} == {
        "finished": 23, "failed": 1, "made_now": 24, "seconds": 0, "flops": 23e6, "tokens": 23 * 1024,
    }  # fmt: skip
    # Four seeds of the control cannot tell.
    assert (
        found["verdict"]["told"] == "inconclusive (needs 1 more seed)" and "control is open" in found["verdict"]["why"]
    )
    assert any("4 of 5 seeds" in warning for warning in found["warnings"])


def test_pages_are_whole_and_escaped(found: dict, tmp_path: Path) -> None:
    path = write(epath.Path(tmp_path), found)
    text = path.read_text()
    assert text == page(found) == page(json.loads(json.dumps(found)))
    assert "<script" not in text and "&lt;script&gt;" in text and "http://" not in text.replace("http://www.w3.org", "")
    for words in ("Positive control", "Every seed", "Beside the paper", "Tuning", "optimizer.decay", "2.0200 ± 0.0158"):
        assert words in text
    assert "miniature-cpu/index.html" in (tmp_path / "index.html").read_text()
    assert read(tmp_path / "miniature-cpu" / "findings.json") == found


def test_a_sweep_that_judges_is_drawn(
    study: Study, tmp_path: Path, executor: type[Executor], honest: Callable[[Trial], float]
) -> None:
    arms = tuple(dataclasses.replace(arm, changes={"optimizer.decay": i / 10}) for i, arm in enumerate(study.arms))
    claim = AllOf((study.claim, Better(names=("one",), than=("bad",))))
    scale = dataclasses.replace(study.scales["cpu"], seeds=3, tuning=Everywhere(values("schedule.peak", 0.1, 0.2)))

    def loss(trial: Trial) -> float:
        return honest(trial) + trial.experiment.schedule.peak

    with executor(loss) as made:
        plan = Plan(dataclasses.replace(study, arms=arms, claim=claim), scale, arms)
        found = findings("miniature", "cpu", run(plan, Store(tmp_path / "out"), made, lambda line: None))
    one = found["arms"][0]
    # Seeds differ by 0.01 each, and the arm is at 2.
    assert [row | {"weights": 0} for row in one["sweep"]] == [
        {"setting": {"schedule.peak": p}, "weights": 0, "value": pytest.approx(2.01 + p), "low": pytest.approx(2.0 + p),
         "high": pytest.approx(2.02 + p)} for p in (0.1, 0.2)
    ]  # fmt: skip
    assert found["claim"]["arms"] == list(claim.arms) and len(found["claim"]["parts"]) == 2
    text = page(found)
    assert "all runs that judge" in text and "one better than bad: p = 0.125, open" in text
    # The arm that is to be bad is one of the claim's, and stands on the picture whole.
    assert "↑" not in text
    del found["claim"]["arms"], one["sweep"]
    assert "<h2>Tests" in page(found)


def test_markdown_names_the_command_and_the_numbers(found: dict, tmp_path: Path) -> None:
    path = commit(found, tmp_path / "results", tmp_path / "ablations.md")
    text = (tmp_path / "ablations.md").read_text()
    assert path.name == "miniature.cpu.json" and text == docs_text(tmp_path / "results")
    assert "python -m experiments.ablate --study=miniature --scale=cpu" in text
    assert "| three | 0.8 | -0.200 | 1.0200 ± 0.0158 | -1.0000 |" in text


def test_the_docs_are_those_of_the_committed_results() -> None:
    assert DOCS.read_text() == docs_text(RESULTS)


def test_results_of_another_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="holds no findings of format 1"):
        read(tmp_path / "x.json")
