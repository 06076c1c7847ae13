"""The average of checkpoints is NumPy's, and opens like any run."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data.console import UsageError
from experiments.average import average
from experiments.restore import open_run
from train.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]


def weights(run: Path, step: int) -> dict[str, np.ndarray]:
    """The weights of a checkpoint, read by Orbax alone."""
    tree = ocp.StandardCheckpointer().restore((run / "checkpoints" / str(step) / "state").resolve())["weights"]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def test_the_verb_writes_the_mean_and_it_opens(trained, tmp_path: Path) -> None:
    target = tmp_path / "averaged"
    command = [sys.executable, "-m", "experiments.average", f"--run={trained.path}", f"--to={target}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"average: the weights of {trained.path} after steps 2, 4, in {target}" in done.stdout
    second, fourth = weights(trained.path, 2), weights(trained.path, 4)
    found = weights(target, 4)
    assert found.keys() == fourth.keys()
    for path, leaf in found.items():
        expected = (second[path].astype(np.float64) + fourth[path]) / 2
        np.testing.assert_allclose(leaf, expected, rtol=1e-6, atol=1e-8)
        assert leaf.dtype == fourth[path].dtype

    opened = open_run(target)
    assert opened.step == 4 and len(opened.prepared.validation) == len(open_run(trained.path).prepared.validation)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(opened.weights), list(found.values()))
    assert sorted(json.loads((target / "start.json").read_text())["weights"]) == ["2", "4"]


def test_one_checkpoint_is_its_own_mean_and_others_are_said(trained, tmp_path: Path) -> None:
    run = RunDirectory(trained.path)
    average(run, tmp_path / "one", [2], lambda line: None)
    same, there = weights(tmp_path / "one", 2), weights(trained.path, 2)
    assert all(same[path].tobytes() == there[path].tobytes() for path in there)
    with pytest.raises(UsageError, match="has no checkpoint of step 3; it has 2, 4"):
        average(run, tmp_path / "none", [3, 4])
    assert not (tmp_path / "none").exists()
