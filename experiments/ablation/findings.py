"""What a study found, as JSON values: all that its page, its Markdown and the index are written from."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.spec_difference import difference
from experiments.ablation import verdict
from experiments.ablation.arm import Arm
from experiments.ablation.finding import Finding
from experiments.ablation.judgement import judge
from experiments.ablation.metric import Metric
from experiments.ablation.plan import Plan
from experiments.ablation.result import Failure, Result, thinned
from experiments.ablation.runner import Ran
from experiments.ablation.scores import Cells
from experiments.ablation.significance import bootstrap
from experiments.ablation.sweep import named
from experiments.ablation.tuning import at_edge
from train.run_directory import code_version

FORMAT = 1
# Points of a curve that are kept for the page.
_CURVE_POINTS = 40


def findings(name: str, scale: str, ran: Ran, changes: Sequence[str] = ()) -> dict[str, Any]:
    """What a study found.

    Args:
      name: of the study.
      scale: its name.
      ran: its runs.
      changes: of its parent, on the command line.

    Raises ValueError if runs have not the metric that they are judged by.
    """
    plan, study, cells = ran.plan, ran.plan.study, ran.plan.cells(ran.done)
    judged = judge(study, cells)
    arms = [_arm(plan, arm, ran, cells) for arm in plan.arms]
    paper = study.paper
    return {
        "format": FORMAT,
        "study": name,
        "scale": scale,
        "paper": {**vars(paper), "link": paper.link, "cited": str(paper)},
        "hypothesis": study.hypothesis,
        "notes": [note for note in (plan.scale.note, study.note) if note],
        "verdict": {**verdict.to_json(judged.verdict), "told": str(judged.verdict), "why": judged.why},
        "metric": {"key": study.metric.key, "unit": study.metric.unit, "better": study.metric.word},
        "arms": arms,
        "claim": {**_finding(judged.claim), "arms": list(study.claim.arms)},
        "control": _finding(judged.control),
        "seeds": plan.scale.seeds,
        "budget": plan.scale.tuning.budget(),
        "changes": list(changes),
        "runs": _runs(plan, ran),
        "environments": _environments(plan, ran),
        "code": dict(code_version()),
        "date": time.strftime("%Y-%m-%d"),
        "warnings": _warnings(plan, ran, arms),
    }


def _arm(plan: Plan, arm: Arm, ran: Ran, cells: Cells) -> dict[str, Any]:
    metric, parent = plan.study.metric, plan.scale.parent
    values = {seed: value for seed, cell in cells[arm.name].items() if (value := metric.of(cell)) is not None}
    found = list(values.values())
    answer = plan.answer(arm, ran.done)
    results = [result for cell in cells[arm.name].values() for result in cell]
    low, high = bootstrap(found)
    return {
        "name": arm.name,
        "paper": None if arm.paper is None else {**vars(arm.paper), "told": str(arm.paper)},
        "values": {str(seed): value for seed, value in sorted(values.items())},
        "mean": _plain(np.mean(found) if found else math.nan),
        "sd": _plain(np.std(found, ddof=1) if len(found) > 1 else math.nan),
        "interval": [_plain(low), _plain(high)],
        "chosen": None if answer.chosen is None else named(answer.chosen),
        "tuning": _tuning(plan, arm, ran),
        "sweep": _sweep(metric, cells[arm.name]),
        "changes": difference(parent, arm.experiment(parent, seed=parent.seed)),
        "weights": results[0].weights if results else None,
        "flops": results[0].flops if results else None,
        "seconds": _plain(np.median([sum(r.seconds.values()) for r in results]) if results else math.nan),
        "step_seconds": _plain(np.median([r.seconds.get("steps", math.nan) / r.steps for r in results] or [math.nan])),
        "curve": _curve([result.series.get(metric.key, []) for result in results]),
        "failed": sorted({o.reason for t in plan.trials(ran.done) if t.arm == arm.name
                          and isinstance(o := ran.done[t.address], Failure)}),
    }  # fmt: skip


def _tuning(plan: Plan, arm: Arm, ran: Ran) -> list[dict[str, Any]]:
    """What each setting came to, on the seeds that do not judge."""
    metric, by_setting = plan.study.metric, {}
    for trial in plan.trials(ran.done):
        outcome = ran.done[trial.address]
        if trial.arm != arm.name or trial.request.seed in plan.seeds or not isinstance(outcome, Result):
            continue
        key = (trial.request.setting, trial.request.share)
        by_setting.setdefault(key, []).append(metric.one(outcome))
    return [
        {
            "setting": {k: v if isinstance(v, int | float) else str(v) for k, v in setting},
            "share": share,
            "value": _plain(np.mean(values) if all(v is not None for v in values) else math.nan),
        }
        for (setting, share), values in by_setting.items()
    ]


def _sweep(metric: Metric, cells: Mapping[int, Sequence[Result]]) -> list[dict[str, Any]]:
    """Where several runs of a seed judge an arm, what each setting came to: mean, lowest and highest over seeds."""
    by_setting: dict[Any, list[Result]] = {}
    for result in (result for cell in cells.values() if len(cell) > 1 for result in cell):
        by_setting.setdefault(tuple(result.setting.items()), []).append(result)
    found = []
    for setting, results in by_setting.items():
        if values := [value for result in results if (value := metric.one(result)) is not None]:
            found.append({
                "setting": {k: v if isinstance(v, int | float) else str(v) for k, v in setting},
                "weights": results[0].weights,
                **{key: _plain(f(values)) for key, f in (("value", np.mean), ("low", np.min), ("high", np.max))},
            })  # fmt: skip
    return found


def _curve(series: Sequence[Sequence[tuple[int, float]]]) -> list[list[float | None]]:
    """Step, mean, lowest and highest over runs, at the steps that all have."""
    if not series or not all(series):
        return []
    by_step = [dict(points) for points in series]
    shared = sorted(set.intersection(*(set(points) for points in by_step)))
    steps = [step for step, _ in thinned([(step, 0.0) for step in shared], _CURVE_POINTS)]
    found = []
    for step in steps:
        values = [points[step] for points in by_step]
        found.append([step, *(_plain(f(values)) for f in (np.mean, np.min, np.max))])
    return found


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "standing": found.standing.value,
        "more": found.more,
        "p": found.p,
        "claim": found.claim,
        "comparisons": [
            {
                "better": pair.better,
                "worse": pair.worse,
                "differences": list(pair.differences),
                "mean": _plain(pair.mean),
                "interval": [_plain(end) for end in pair.interval],
                "p": pair.p,
                "adjusted": pair.adjusted,
                "standing": pair.standing.value,
            }
            for pair in found.comparisons
        ],
        "parts": [_finding(part) for part in found.parts],
    }


def _runs(plan: Plan, ran: Ran) -> dict[str, Any]:
    unique = {trial.address for trial in plan.trials(ran.done)}
    results = [outcome for a in unique if isinstance(outcome := ran.done[a], Result)]
    return {
        "finished": len(results),
        "failed": len(unique) - len(results),
        "made_now": ran.made,
        "seconds": round(sum(sum(result.seconds.values()) for result in results), 1),
        "flops": sum(result.flops for result in results),
        "tokens": sum(result.tokens for result in results),
    }


def _environments(plan: Plan, ran: Ran) -> list[dict[str, Any]]:
    """Each once, with how many runs were made in it."""
    found: list[dict[str, Any]] = []
    for address in dict.fromkeys(trial.address for trial in plan.trials(ran.done)):
        outcome = ran.done[address]
        if isinstance(outcome, Failure):
            continue
        same = next((each for each in found if each["environment"] == outcome.environment), None)
        if same is None:
            found.append(same := {"environment": dict(outcome.environment), "runs": 0})
        same["runs"] += 1
    return found


def _warnings(plan: Plan, ran: Ran, arms: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    for arm in arms:
        if arm["failed"]:
            found.append(f"{arm['name']}: runs failed: {'; '.join(arm['failed'])}")
        if len(arm["values"]) < plan.scale.seeds:
            found.append(f"{arm['name']} has a figure for {len(arm['values'])} of {plan.scale.seeds} seeds")
    for arm in plan.arms:
        chosen = plan.answer(arm, ran.done).chosen
        for key in at_edge(plan.scale.tuning.of(arm.name).settings(), chosen or {}):
            found.append(f"{arm.name}: the best {key} is at the edge of what was tried ({chosen[key]!r})")
    devices = {str(each["environment"].get("devices")) for each in _environments(plan, ran)}
    if len(devices) > 1:
        found.append(f"runs were made on different devices: {', '.join(sorted(devices))}")
    return found


def _plain(value: Any) -> float | None:
    """A number that JSON has; None for one that is not finite."""
    return float(value) if math.isfinite(value) else None
