"""What is said of a config.json that cannot be read as a model."""

from pathlib import Path
from typing import Any

import pytest

from data import console
from model.families.published import FamilyError, Published, understanding


def test_a_family_error_is_explained_as_a_value_error_is() -> None:
    assert console._sentence(FamilyError("the tensor 'a' is missing")) == "the tensor 'a' is missing"


def test_values() -> None:
    published = Published({"a": 1, "b": None, "c": "x"}, "there")
    assert published.get("a") == 1 and published.get("b", 7) == published.get("none", 7) == 7
    assert published.choice("c", {"x": 5}) == published.choice("d", {"x": 5}, "x") == 5
    published.only("a", 1, 2)
    published.only("b", 1)
    published.only("none", 1)
    for call, message in (
        (lambda: published.get("b"), "^there lacks 'b'$"),
        (lambda: published.only("a", 2, 3), "^there has a=1; only 2 or 3 is supported$"),
        (lambda: published.choice("c", {"y": 1, "z": 2}), "^there has c='x'; supported are y, z$"),
        (lambda: published.architecture, r"^there has architectures=\[\]; it has to be a list of one name$"),
    ):
        with pytest.raises(FamilyError, match=message):
            call()


@pytest.mark.parametrize("names", ["LlamaForCausalLM", ["A", "B"], [1], {"a": 1}, 3])
def test_bad_architectures(names: Any) -> None:
    with pytest.raises(FamilyError, match="has to be a list of one name"):
        _ = Published({"architectures": names}).architecture


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json, so it is no published model$"),
        (b"{", "config.json is no JSON: "),
        (b"\xff\xfe", "config.json is no JSON: "),
        (b"[1]", "config.json holds a list, not an object$"),
    ],
)
def test_bad_files(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(FamilyError, match=message):
        Published.read(tmp_path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("factor"), "^x lacks 'factor'$"),
        (TypeError("no int"), "^x describes no model: no int$"),
        (ZeroDivisionError("division by zero"), "^x describes no model: division by zero$"),
        (FamilyError("as it is"), "^as it is$"),
    ],
)
def test_understanding(error: Exception, message: str) -> None:
    with pytest.raises(FamilyError, match=message), understanding("x"):
        raise error
