"""From scores to a verdict."""

import dataclasses

from experiments.ablation.finding import Finding, Standing
from experiments.ablation.metric import Metric
from experiments.ablation.scores import Cells, Scores
from experiments.ablation.study import Study
from experiments.ablation.verdict import MOST_SEEDS, Inconclusive, NotReproduced, Reproduced, Verdict


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a study comes to, and why.

    Attributes:
      verdict: one of three.
      why: a sentence.
      claim: what was found of the claim.
      control: what was found of the positive control.
    """

    verdict: Verdict
    why: str
    claim: Finding
    control: Finding


def judge(study: Study, cells: Cells) -> Judgement:
    """Judges the results that there are. Raises ValueError if runs have not the metric that they are judged by.

    Where the positive control does not come out, nothing is known: a set-up that does not see what is known to be bad
    sees nothing.
    """

    def ask(metric: Metric | None) -> Scores:
        return Scores.of(cells, metric or study.metric)

    claim, control = study.claim.decide(ask), study.control.decide(ask)
    if control.standing is Standing.FAILS:
        why = f"the positive control came out wrong: it is not so that {control.claim}; this set-up can tell nothing"
        return Judgement(Inconclusive(MOST_SEEDS), why, claim, control)
    if control.standing is Standing.OPEN:
        why = f"the positive control is open: that {control.claim} (p = {control.p:.3g})"
        return Judgement(Inconclusive(_counted(max(control.more, claim.more))), why, claim, control)
    if claim.standing is Standing.HOLDS:
        return Judgement(Reproduced(), f"{claim.claim}: p = {claim.p:.3g}", claim, control)
    if claim.standing is Standing.FAILS:
        return Judgement(NotReproduced(), f"the data contradict: {claim.claim}", claim, control)
    return Judgement(Inconclusive(_counted(claim.more)), f"open: {claim.claim} (p = {claim.p:.3g})", claim, control)


def _counted(more: int) -> int:
    return min(max(more, 1), MOST_SEEDS)
