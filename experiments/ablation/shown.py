"""What is said of studies before anything runs."""

from collections.abc import Mapping

from data.spec_difference import difference
from experiments.ablation.plan import Plan
from experiments.ablation.store import Store
from experiments.ablation.study import Study


def listing(studies: Mapping[str, Study]) -> str:
    """A line a study, and the arms and runs of each."""
    lines = []
    for name, study in sorted(studies.items()):
        lines.append(f"{name}: {study.hypothesis}")
        lines.append(f"  {study.paper}")
        lines.append(f"  arms: {', '.join(arm.name for arm in study.arms)}")
        runs = (f"{scale} {Plan(study, study.scales[scale], study.arms).most()}" for scale in study.scales)
        lines.append(f"  runs: {', '.join(runs)}")
    return "\n".join(lines)


def planned(plan: Plan, store: Store) -> str:
    """What a study would run: what each arm changes, the tuning, and how many of the first runs are there."""
    parent = plan.scale.parent
    lines = [plan.study.hypothesis]
    for arm in plan.arms:
        made = arm.experiment(parent, seed=parent.seed)
        lines += [f"{arm.name}:", *(f"  {line}" for line in difference(parent, made) or ["as the parent"])]
    due = plan.due({})
    there = sum(store.result(trial) is not None for trial in due)
    lines.append(f"{plan.scale.tuning.budget()}; {plan.scale.seeds} seeds judge")
    lines.append(f"{plan.most()} runs; of the first {len(due)}, {there} are there already")
    return "\n".join(lines)
