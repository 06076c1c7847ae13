"""A file is whole or absent, whatever happens while it is written."""

import os
import subprocess
import sys
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


def test_leftovers_of_the_dead_alone_are_removed(tmp_path: Path) -> None:
    code = "import sys; from data import atomic; print(atomic.temporary_sibling(sys.argv[1]))"
    path, other = tmp_path / "data", tmp_path / "data.other"
    root = Path(__file__).parents[2]

    def left_by_another(beside: Path) -> Path:
        command = [sys.executable, "-c", code, str(beside)]
        return Path(subprocess.check_output(command, cwd=root, text=True).strip())

    folder, file, stranger = left_by_another(path), left_by_another(path), left_by_another(other)
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "shard").write_text("half")
    alive = Path(atomic.temporary_sibling(path))
    dead = folder.name.rsplit("-", 2)[1]
    # Of another machine, where a process of that number may well live.
    elsewhere = tmp_path / f".data.tmp-elsewhere-{dead}-00000000"
    unlike = tmp_path / f".data.tmp-{dead}"
    for kept in (file, stranger, alive, elsewhere, unlike, path):
        kept.write_text("")
    assert str(os.getpid()) in alive.name
    assert set(map(Path, atomic.remove_leftovers(path))) == {folder, file}
    assert set(tmp_path.iterdir()) == {stranger, alive, elsewhere, unlike, path}
    assert atomic.remove_leftovers(tmp_path / "none" / "data") == []
