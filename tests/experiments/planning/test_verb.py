"""The verb's parts: what is printed and written without a compiler, and with one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from data import exits
from data.console import UsageError
from experiments.planning.planned import Depth
from experiments.planning.verb import Asked, plan
from train.load import load_experiment

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("topology_there")


def test_a_plan_without_the_compiler(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(config, "v5e:2x2", json=str(tmp_path / "plan.json"), html=str(tmp_path / "plan.html"))
    assert plan(asked, depth=Depth.CLOSED_FORM) == exits.DONE.status
    said = capsys.readouterr().out
    assert "v5e:2x2: 4 chips, mesh fsdp 4" in said and "fits by closed form" in said
    found = json.loads((tmp_path / "plan.json").read_text())
    assert found["fits"] and found["memory"] is None and found["estimate"]["peak"] > 0
    assert (tmp_path / "plan.html").read_text().startswith("<!doctype html>")


def test_what_does_not_fit_says_what_would(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(config, "v5e:2x2", changes=("batch.batch=16384", "batch.evaluation=64"))
    assert plan(asked, depth=Depth.CLOSED_FORM) == exits.FAILED.status
    said = capsys.readouterr().out
    assert "does not fit by closed form" in said and "--set batch.accumulate=" in said


def test_weights_alone_may_be_too_many(config: str) -> None:
    # A table of 2^22 rows and its moments in float32 on every device: 24 GiB, and as much for the other.
    asked = Asked(config, "v5e:2x2", changes=("model.vocab=4194304", "placement=DataParallel()"))
    with pytest.raises(UsageError, match="weights and optimizer take 48.1 GiB"):
        plan(asked)


@pytest.mark.slow
def test_the_compiler_plans_it(config: str, tmp_path: Path) -> None:
    asked = Asked(config, "v5e:2x2", changes=("batch.accumulate=2",), json=str(tmp_path / "plan.json"))
    assert plan(asked) == exits.DONE.status
    found = json.loads((tmp_path / "plan.json").read_text())
    _, experiment = load_experiment(config)
    # The model's FLOPs, and the forward pass of layers once more, less what XLA finds to leave out.
    assert 1.0 < found["speed"]["recomputed"] < 4 / 3
    assert found["work"]["model_flops_per_device"] == experiment.flops_per_token * 64 * 256 / 4
    assert found["speed"]["seconds"] >= found["speed"]["bound"] > 0
    kinds = {(each["kind"], tuple(each["axes"])) for each in found["cost"]["collectives"]}
    assert any(axes == ("fsdp",) for _, axes in kinds)
    memory = found["memory"]
    assert memory["weights"] * 2 <= memory["optimizer"] <= memory["weights"] * 2 + 64
    assert memory["peak"] >= memory["weights"] + memory["optimizer"]


@pytest.mark.slow
def test_a_schedule_says_the_same_but_for_cycles(config: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sharding.plan", f"--config={config}", "--topology=v5e:2x2"]
    found = []
    for more in ((), ("--schedule",)):
        path = tmp_path / f"plan{len(found)}.json"
        subprocess.run([*command, *more, f"--json={path}"], cwd=ROOT, check=True, capture_output=True)
        found.append(json.loads(path.read_text()))
    whole, schedule = found
    assert schedule["scheduled_only"] and not whole["scheduled_only"]
    assert schedule["memory"]["peak"] == pytest.approx(whole["memory"]["peak"], rel=0.06)
    assert schedule["cost"]["hbm_bytes"] == pytest.approx(whole["cost"]["hbm_bytes"], rel=1e-4)
    for key in ("matmul_flops", "kernel_flops", "collectives"):
        assert schedule["cost"][key] == whole["cost"][key], key
    assert schedule["cost"]["cycles"] == 0 < whole["cost"]["cycles"]
    assert 0.5 < schedule["speed"]["seconds"] / whole["speed"]["seconds"] < 1.2


@pytest.mark.slow
def test_the_compiler_finds_no_room(config: str, tmp_path: Path) -> None:
    asked = Asked(
        config, "v5e:2x2", changes=("batch.batch=16384", "batch.evaluation=64"), json=str(tmp_path / "plan.json")
    )
    assert plan(asked) == exits.FAILED.status
    found = json.loads((tmp_path / "plan.json").read_text())
    assert not found["fits"] and found["cost"] is None and not found["memory"]["planned"]
    assert found["memory"]["peak"] > found["topology"]["usable_bytes"]
    assert "would do" in found["advice"]
