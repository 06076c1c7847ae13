"""How far a run has come, read from the names of its checkpoints; loads nothing heavy."""

from etils import epath


def steps_saved(checkpoints: epath.Path) -> int:
    """The step of the newest checkpoint, whether it is whole or not; 0 if there is none."""
    if not checkpoints.exists():
        return 0
    return max((int(path.name) for path in checkpoints.iterdir() if path.name.isdecimal()), default=0)
