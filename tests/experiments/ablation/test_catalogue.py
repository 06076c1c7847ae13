"""Every study that ships is whole at every scale, and a new one is a file."""

from pathlib import Path

import pytest

from data.console import UsageError
from experiments.ablation.catalogue import STUDIES, load_study, study_names
from experiments.ablation.plan import Plan
from experiments.ablation.scale import NAMES

STUDY = """
from experiments.ablation.arm import Arm
from experiments.ablation.decision import Better
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import small_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study

def study() -> Study:
    scale = Scale(small_decoder())
    return Study(
        paper=Paper("Title", "Author", 2020, "arXiv:1", "Table 1"),
        hypothesis="A is better than B.",
        arms=(Arm("A", {"steps": 2}, PaperNumber(1.0, SOURCE)), Arm("B", {KEY: 1})),
        metric=Lower("eval/loss"),
        claim=Better(names=("A",), than=("B",)),
        control=Better(names=("A",), than=("B",)),
        scales={"cpu": scale, "gpu": scale, "paper": scale},
    )
"""


def written(folder: Path, source: str = "'Table 1'", key: str = "'steps'") -> str:
    path = folder / "nineteenth.py"
    path.write_text(STUDY.replace("SOURCE", source).replace("KEY", key))
    return str(path)


@pytest.mark.parametrize("name", study_names())
def test_studies_that_ship_can_be_run(name: str) -> None:
    study = load_study(name)
    for scale in NAMES:
        Plan(study, study.at(scale), study.arms).check()
    # Judged by seeds, with as many as can tell; a larger scale may have what the paper had.
    assert study.scales["cpu"].seeds >= 5
    assert study.scales["paper"].topology
    folder = Path(__file__).resolve().parents[3].joinpath(*STUDIES.package.split("."))
    lines = (folder / f"{name}.py").read_text().splitlines()
    assert len(lines) <= 120


def test_a_new_study_is_one_file(tmp_path: Path) -> None:
    study = load_study(written(tmp_path))
    Plan(study, study.at("cpu"), study.arms).check()
    assert [arm.name for arm in study.arms] == ["A", "B"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"source": "''"}, "nineteenth.py': the paper's number 1 has no source"),
        ({"source": "'[UNVERIFIED]'"}, "is unverified"),
        ({"source": "nothing"}, "name 'nothing' is not defined"),
    ],
)
def test_studies_that_cannot_be_are_refused(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises((UsageError, NameError), match=words):
        load_study(written(tmp_path, **changes))


def test_a_typo_in_a_path_is_found_before_anything_runs(tmp_path: Path) -> None:
    study = load_study(written(tmp_path, key="'stepz'"))
    with pytest.raises(ValueError, match="arm 'B': unknown key 'stepz': .* did you mean 'steps'"):
        Plan(study, study.at("cpu"), study.arms).check()


def test_unknown_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study 'glu_variant'; did you mean glu_variants"):
        load_study("glu_variant")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UsageError, match="has no function 'study'"):
        load_study(str(tmp_path / "empty.py"))
    (tmp_path / "wrong.py").write_text("def study():\n    return 3\n")
    with pytest.raises(UsageError, match=r"study\(\) returns a int"):
        load_study(str(tmp_path / "wrong.py"))
