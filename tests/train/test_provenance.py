"""A checkpoint says what it is of, wherever it lies."""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import pytest
from etils import epath

from train.checkpoint import Checkpoints
from train.load import load_experiment
from train.provenance import about, experiment_of
from train.retention import Keep
from train.state import TrainState


def test_a_copied_checkpoint_gives_its_experiment(tmp_path: Path) -> None:
    experiment, _ = load_experiment("shakespeare_char")
    checkpoints = Checkpoints(epath.Path(tmp_path / "c"), Keep(), about=about(experiment))
    checkpoints.save(TrainState(jnp.int32(3), jnp.int32(6), {"w": jnp.ones(2)}, (), {}))
    checkpoints.close()
    copied = shutil.copytree(tmp_path / "c" / "3", tmp_path / "elsewhere")
    assert experiment_of(copied) == experiment
    path = copied / "note" / "metadata"
    note = json.loads(path.read_text())
    assert note["random"]["seed"] == experiment.seed and note["position"] == 6
    with pytest.raises(ValueError, match="is no checkpoint"):
        experiment_of(tmp_path)
    del note["config"]
    path.write_text(json.dumps(note))
    with pytest.raises(ValueError, match="holds no config"):
        experiment_of(copied)
