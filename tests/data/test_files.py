"""Files on any disk: those that may not be read, those that are large, and those in a bucket."""

import ast
import contextlib
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from etils.epath import gpath, testing

from data.sources import BadRecord, Csv, HtmlFiles, Joined, JsonLines, Lines, Parquet, Source, TextFiles, Warc, files
from data.spec import describe

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def records(source: Source) -> list:
    return [record for shard in source.shards() for record in source.read(shard)]


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may read everything; then the block runs as a user that may not; import before it what it needs."""
    if os.geteuid():
        yield
        return
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def write_all(folder: Path) -> None:
    row = json.dumps({"text": "row", "n": 1})
    (folder / "tree" / "deep").mkdir(parents=True)
    (folder / "tree" / "deep" / "a.txt").write_text("deep")
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"three"))
    (folder / "a.jsonl").write_text(f"{row}\n{row}\n")
    (folder / "a.jsonl.zst").write_bytes(zstandard.compress(row.encode()))
    (folder / "a.csv").write_text("text,n\nrow,1\n")
    (folder / "a.html").write_text("<html>page</html>")
    (folder / "a.warc").write_bytes(
        b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <i>\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
        b"\r\npage\r\n\r\n"
    )
    pq.write_table(pa.table({"text": ["x" * 2000, "row"], "n": [1, 2]}), folder / "a.parquet", row_group_size=1)


def all_sources(folder: str) -> list[tuple[Source, int]]:
    """A source of each kind, with the number of its documents."""
    return [
        (TextFiles(f"{folder}/a.txt"), 1),
        (TextFiles(f"{folder}/tree"), 1),
        (TextFiles(f"{folder}/t*/d*/*.txt"), 1),
        (TextFiles(f"{folder}/a.txt*", by=Lines()), 3),
        (JsonLines(f"{folder}/*.jsonl"), 2),
        (JsonLines(f"{folder}/a.jsonl", shard_bytes=20), 2),
        (JsonLines(f"{folder}/a.jsonl.zst"), 1),
        (Csv(f"{folder}/a.csv"), 1),
        (HtmlFiles(f"{folder}/a.html"), 1),
        (Warc(f"{folder}/a.warc"), 1),
        (Parquet(f"{folder}/a.parquet"), 2),
        (Parquet(f"{folder}/a.parquet", shard_bytes=10), 2),
    ]


def test_a_file_that_may_not_be_opened_is_a_bad_record(folder: Path) -> None:
    write_all(folder)
    for source, number in all_sources(str(folder)):
        # Also so that all is imported: another user may not be able to read where Python lies.
        assert len(records(source)) == number
    for file in filter(Path.is_file, folder.rglob("*")):
        file.chmod(0)
    with as_nobody(folder):
        for source, _ in all_sources(str(folder)):
            found = records(source)
            assert {r.problem for r in found} == {"cannot be opened"}, source
            assert found[0].message == f"{found[0].place} cannot be opened: Permission denied"
            assert found[0].place.startswith(f"{folder}/")
            before = source.fingerprint()
        with pytest.raises(ValueError, match="a.txt cannot be opened: Permission denied"):
            list(TextFiles(folder / "a.txt").documents())
    for file in filter(Path.is_file, folder.rglob("*")):
        file.chmod(0o644)
    assert source.fingerprint() != before


def test_a_file_that_may_not_be_opened_costs_no_other(folder: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(name)
    assert len(records(TextFiles(folder))) == 3
    (folder / "b.txt").chmod(0)
    with as_nobody(folder):
        first, bad, last = records(TextFiles(folder))
    assert (first.text, last.text, bad.place) == ("a.txt", "c.txt", f"{folder}/b.txt")


@pytest.mark.parametrize("pattern", ["", "/*/*.txt"])
def test_a_folder_that_may_not_be_listed_is_refused(folder: Path, pattern: str) -> None:
    """Python's own glob passes over it without a word."""
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "a.txt").write_text(name)
    (folder / "two").chmod(0)
    try:
        with as_nobody(folder), pytest.raises(PermissionError, match="Permission denied.*two"):
            TextFiles(f"{folder}{pattern}").shards()
    finally:
        (folder / "two").chmod(0o755)


def test_a_file_that_is_gone_is_a_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    for path in (tmp_path / "a.jsonl", tmp_path / "*.jsonl"):
        (tmp_path / "a.jsonl").write_text("{}")
        source = JsonLines(path)
        shards = source.shards()
        (tmp_path / "a.jsonl").unlink()
        (bad,) = source.read(shards[0])
        assert (bad.problem, bad.place) == ("cannot be opened", f"{tmp_path}/a.jsonl")


def test_a_large_file_is_known_by_samples(tmp_path: Path) -> None:
    size = 80 << 20
    prints = []
    changes = [("a", 0, b""), ("b", 0, b"x"), ("c", size - 1, b"x"), ("d", size // 2, b""), ("e", size, b"x")]
    for name, at, mark in changes:
        (tmp_path / name).mkdir()
        path = tmp_path / name / "large.txt"
        with path.open("wb") as out:
            # A hole in the file: no disk has to hold it.
            out.truncate(size)
            out.seek(at)
            out.write(mark)
        os.utime(path, (len(prints), len(prints)))
        prints.append(TextFiles(tmp_path / name).fingerprint())
    # The time of change is no part of it; the first and the last byte are, and the size.
    assert prints[0] == prints[3] and len(set(prints)) == 4


def test_a_small_change_of_a_small_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(3 << 20))
    before = TextFiles(tmp_path).fingerprint()
    path.write_bytes(bytes(2 << 20) + b"x" + bytes((1 << 20) - 1))
    assert TextFiles(tmp_path).fingerprint() != before


class Remote:
    """As little as a path library's file has to have: TensorFlow's has no more."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int = 0, whence: int = 0) -> None:
        self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def test_a_bucket_is_read_like_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path)
    # Else the path library asks TensorFlow, which asks Google.
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)

    def local(path: Any) -> str:
        assert os.fspath(path).startswith("gs://bucket"), path
        return os.fspath(path).replace("gs://bucket", str(tmp_path))

    def there(original: Any, path: Any) -> Any:
        return original(local(path))

    wanted = [(records(source), source.fingerprint()) for source, _ in all_sources(str(tmp_path))]
    with testing.mock_epath(
        open=lambda original, path, mode: Remote(local(path)),
        exists=there, isdir=there, listdir=there, stat=there,
    ):  # fmt: skip
        for (source, number), (documents, fingerprint) in zip(all_sources("gs://bucket"), wanted, strict=True):
            found = records(source)
            assert len(found) == number and not [r for r in found if isinstance(r, BadRecord)], (source, found)
            assert [(d.text, d.id, d.meta) for d in found] == [(d.text, d.id, d.meta) for d in documents]
            assert source.fingerprint() == fingerprint
            assert found[0].source.startswith("gs://bucket/")


def test_nothing_goes_round_the_path_library() -> None:
    for path in sorted((ROOT / "data" / "sources").glob("*.py")):
        if path.name == "python_docs.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id == "open"), path
            # Links are of this machine only.
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            assert not name.startswith("os.path.") or name == "os.path.realpath", path
            assert name not in ("os.listdir", "os.scandir", "os.stat"), path
            assert not (isinstance(node, ast.ImportFrom) and node.module == "pathlib" and node.names[0].name == "Path")


def test_globs_are_those_of_python(tmp_path: Path) -> None:
    for name in ("a/x.txt", "a/y.md", "b/x.txt", "b/.x.txt", "ab/c/x.txt", "x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for pattern in ("*/*.txt", "[ab]/x.*", "a?/c/x.txt", "*/c/*", "*.txt"):
        wanted = sorted(p for p in tmp_path.glob(pattern) if p.is_file() and not p.name.startswith("."))
        found = files.find_files(tmp_path / pattern)
        assert [Path(p) for p in found.values()] == wanted
        assert all(files.within(tmp_path / pattern, name) == path for name, path in found.items())


def test_a_link_to_the_folder_it_lies_in_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.txt").write_text("x")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "z").symlink_to(tmp_path / "a" / "b")
    assert list(files.find_files(tmp_path)) == ["a/b/x.txt", "z/x.txt"]


def test_importing_sources_is_light() -> None:
    code = "import sys, data.sources; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "jax", "pyarrow", "fastwarc", "resiliparse", "datasets", "numpy", "apache_beam"}
    assert not heavy & set(done.stdout.split())


def test_shards_are_the_same_in_another_process_and_order(tmp_path: Path) -> None:
    """What a worker reads that takes over a shard is what was read before, wherever and whenever that is."""
    write_all(tmp_path)
    sources = [source for source, _ in all_sources(str(tmp_path))]
    everything = Joined(tuple(sources))
    code = """
import json, sys
from data.sources import Shard, Source
from data.spec import build
source = build(json.loads(sys.argv[1]), Source)
for shard in reversed(source.shards()):
    found = [[d.text, d.id, d.source, dict(d.meta)] for d in source.read(Shard(shard.name, shard.files))]
    print(json.dumps([shard.name, found]))
"""
    command = [sys.executable, "-c", code, json.dumps(describe(everything))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    there = dict(map(json.loads, done.stdout.splitlines()))
    names = [shard.name for shard in everything.shards()]
    assert sorted(there) == sorted(names) and len(set(names)) == len(names)
    here = [[d.text, d.id, d.source, dict(d.meta)] for d in everything.documents()]
    assert [document for name in names for document in there[name]] == here
    assert len(here) == sum(number for _, number in all_sources(""))
