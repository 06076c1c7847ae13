"""A study: what a paper claims, as something that can be run."""

import dataclasses
from collections.abc import Mapping, Sequence

from data.console import nearest
from data.spec import override
from experiments.ablation.arm import Arm
from experiments.ablation.decision import Decision
from experiments.ablation.match import Match
from experiments.ablation.metric import Metric
from experiments.ablation.paper import Paper
from experiments.ablation.scale import NAMES, Scale


@dataclasses.dataclass(frozen=True)
class Study:
    """A published ablation.

    Attributes:
      paper: where it is from.
      hypothesis: what is claimed, in one sentence.
      arms: what is compared; differences are told from the first.
      metric: what arms are compared by.
      claim: the test that decides.
      control: a claim that is known to be true, by an arm that is known to be bad: where it does not hold, the study
        can tell nothing, and says so.
      scales: by name, `cpu`, `gpu` and `paper`.
      matched: what arms must have in common.
      note: what a reader must know besides.
    """

    paper: Paper
    hypothesis: str
    arms: tuple[Arm, ...]
    metric: Metric
    claim: Decision
    control: Decision
    scales: Mapping[str, Scale]
    matched: tuple[Match, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two arms are named '{twice[0]}'; give each a name of its own")
        told = [("claim", self.claim.arms), ("control", self.control.arms)]
        told += [(f"matched.{i}", match.arms) for i, match in enumerate(self.matched)]
        for field, used in told:
            for name in used:
                if name not in names:
                    raise ValueError(
                        f"{field} is about arm '{name}', which the study does not have{nearest(name, names)}; "
                        f"it has {', '.join(names)}"
                    )
        if set(self.scales) != set(NAMES):
            raise ValueError(f"scales are {', '.join(self.scales) or 'none'}; a study has {', '.join(NAMES)}")
        if not self.hypothesis.strip():
            raise ValueError("hypothesis is empty; say in one sentence what is claimed")

    def at(
        self, scale: str, changes: Sequence[str] = (), seeds: int | None = None, first_seed: int | None = None
    ) -> Scale:
        """A scale by name, with changes `key=value` of its parent, and another number of seeds, or others.

        Raises ValueError for an unknown scale or key, or a parent that cannot be.
        """
        if scale not in self.scales:
            raise ValueError(f"there is no scale '{scale}'{nearest(scale, NAMES)}; there are {', '.join(NAMES)}")
        found = self.scales[scale]
        parent = override(found.parent, list(changes)) if changes else found.parent
        numbers = {"seeds": seeds, "first_seed": first_seed}
        given = {name: value for name, value in numbers.items() if value is not None}
        return dataclasses.replace(found, parent=parent, **given)

    def chosen(self, names: Sequence[str]) -> tuple[Arm, ...]:
        """The arms of these names; all for none. Raises ValueError for an unknown one."""
        known = {arm.name: arm for arm in self.arms}
        for name in names:
            if name not in known:
                raise ValueError(f"there is no arm '{name}'{nearest(name, known)}; there are {', '.join(known)}")
        return tuple(known[name] for name in known if name in names or not names)
