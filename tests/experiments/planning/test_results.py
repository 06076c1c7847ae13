"""Results are what a plan says, to four figures, and only of plans that were compiled."""

import pytest

from experiments.planning.results import Result
from train.load import load_experiment

PLAN = {
    "config": "mine", "fits": True, "topology": {"name": "v5e:2x2", "usable_bytes": 2**34},
    "memory": {"used": 3 * 2**29},
    "speed": {
        "seconds": 1.23456789, "bound": 1.0, "mfu": 0.512345, "tokens_per_second_per_chip": 12345.678,
        "recomputed": 1.5,
    },
    "work": {"mesh": {"data": 1, "fsdp": 4}, "rows": 8, "sequence": 32},
    "effort": {"compile_seconds": 12.6, "memory_bytes": 2**30},
    "compiler_options": {"xla_one": True},
}  # fmt: skip


def test_figures_are_those_of_the_plan() -> None:
    experiment = load_experiment("smoke")[1]
    found = Result.of(PLAN, experiment)
    assert found.provenance.holds(experiment, {"xla_one": True})
    assert (found.seconds, found.tokens, found.gib, found.usable) == (1.235, 12350.0, 1.5, 16.0)
    assert (found.mesh, found.compiling) == ({"fsdp": 4}, 13)


@pytest.mark.parametrize("changes", [{"fits": False}, {"speed": None}])
def test_what_was_not_compiled_is_no_result(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="^mine on v5e:2x2 was not compiled, or does not fit"):
        Result.of(PLAN | changes, load_experiment("smoke")[1])
