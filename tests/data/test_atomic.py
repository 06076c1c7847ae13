"""A file is whole or absent, whatever happens while it is written."""

from pathlib import Path

import pytest

from data import atomic


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    atomic.write_text(path, "caf\u00e9")
    with pytest.raises(RuntimeError, match="lost"), atomic.writing(path) as file:
        file.write(b"half")
        file.flush()
        assert path.read_text(encoding="utf-8") == "caf\u00e9"
        raise RuntimeError("lost")
    assert path.read_text(encoding="utf-8") == "caf\u00e9"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_temporary_names_differ_and_lie_beside(tmp_path: Path) -> None:
    names = {atomic.temporary_sibling(tmp_path / "x") for _ in range(50)}
    assert len(names) == 50 and {Path(name).parent for name in names} == {tmp_path}
