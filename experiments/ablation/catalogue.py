"""Finds studies: whatever lies in `experiments.ablations`, or a file given by path."""

from data.console import UsageError
from data.user_code import Catalogue, usage
from experiments.ablation.study import Study

STUDIES = Catalogue("experiments.ablations", "study")


def study_names() -> list[str]:
    """Names of the studies that ship."""
    return STUDIES.names()


def load_study(name: str) -> Study:
    """The study of a module of `experiments.ablations`, or of a Python file: what its function `study` returns.

    Raises UsageError for an unknown name, a file without a study, or a study that cannot be.
    """
    with usage(f"study '{name}'"):
        make = getattr(STUDIES.module(name), "study", None)
        if not callable(make):
            raise UsageError(f"{name} has no function 'study'; it returns the Study")
        made = make()
    if not isinstance(made, Study):
        raise UsageError(f"{name}.study() returns a {type(made).__name__}; it returns a Study")
    return made
