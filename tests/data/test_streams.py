"""Files are read to their end or say that they were not, in bounded memory."""

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from data.sources import JsonLines, Lines, TextFiles
from data.sources.streams import TooLong, TruncatedArchive, lines, opened, read_whole

ROOT = Path(__file__).resolve().parents[2]
PACKERS = {".gz": gzip.compress, ".zst": zstandard.compress}


@given(
    pieces=st.lists(st.binary(max_size=3000), max_size=5),
    padding=st.integers(0, 3000),
    suffix=st.sampled_from(sorted(PACKERS)),
)
def test_members_are_read_one_after_another(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], padding: int, suffix: str
) -> None:
    file = tmp_path_factory.mktemp("packed") / f"a{suffix}"
    file.write_bytes(b"".join(PACKERS[suffix](piece) for piece in [b"first", *pieces]) + b"\0" * padding)
    with opened(epath.Path(file)) as stream:
        assert stream.read() == b"first" + b"".join(pieces)


@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_every_way_to_cut_an_archive_is_seen(tmp_path: Path, suffix: str) -> None:
    members = [b"".join(b"%d\n" % (i * 7919) for i in range(10 * k, 10 * k + 10)) for k in range(30)]
    text = b"".join(members)
    packed = b"".join(map(PACKERS[suffix], members))
    whole = {0} | {sum(len(PACKERS[suffix](member)) for member in members[: k + 1]) for k in range(30)}
    file = tmp_path / f"a{suffix}"
    for end in [0, *range(1, len(packed), 11), len(packed) - 1]:
        if end and end in whole:
            continue
        file.write_bytes(packed[:end])
        found = []
        with opened(epath.Path(file)) as stream, pytest.raises(TruncatedArchive):
            found.extend(lines(stream, 100))
        assert b"".join(found) == text[: sum(map(len, found))]
    # What precedes the cut is not lost with it.
    assert len(found) >= 290


@given(raw=st.binary(max_size=200), longest=st.integers(1, 20))
def test_lines_are_those_of_the_library_where_short_enough(raw: bytes, longest: int) -> None:
    found = list(lines(io.BufferedReader(io.BytesIO(raw)), longest))
    wanted = list(io.BytesIO(raw))
    assert len(found) == len(wanted)
    for line, right in zip(found, wanted, strict=True):
        if len(right.removesuffix(b"\n")) <= longest:
            assert line == right
        else:
            assert isinstance(line, TooLong) and line.size == len(right) and right.startswith(line.start)


@given(raw=st.binary(max_size=50), longest=st.integers(0, 50))
def test_whole_files_have_a_bound(raw: bytes, longest: int) -> None:
    found = read_whole(io.BufferedReader(io.BytesIO(raw)), longest)
    assert found == raw if len(raw) <= longest else isinstance(found, TooLong)


def peak_growth(code: str) -> int:
    """MiB that a process's peak memory grew by while it ran the code, after its imports."""
    script = f"""
import re
from data.sources import *
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) >> 10
before = peak()
{code}
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")


@linux
def test_a_line_of_a_gigabyte_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    size = 10**9
    with file.open("wb") as out:
        out.write(b'{"text": "before"}\n')
        # A hole in the file: no disk has to hold it.
        out.seek(size, os.SEEK_CUR)
        out.write(b'\n{"text": "after"}\n')
    grown = peak_growth(f"""
bad, found = [], []
for record in JsonLines({str(file)!r}, longest=4 << 20).read(Shard("a.jsonl", ("a.jsonl",))):
    (bad if isinstance(record, BadRecord) else found).append(record)
assert [d.text for d in found] == ["before", "after"] and found[1].id == "a.jsonl:3", found
assert [(b.problem, b.place) for b in bad] == [("too long", {f"{file}:2"!r})], bad
assert {f"{size + 1:,} bytes"!r} in bad[0].message, bad
""")
    assert grown < 32


@linux
@pytest.mark.parametrize("suffix", sorted(PACKERS))
def test_an_archive_made_to_fill_the_memory_does_not(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.txt{suffix}"
    block = bytes(1 << 20)
    if suffix == ".zst":
        with file.open("wb") as out, zstandard.ZstdCompressor().stream_writer(out) as packer:
            for _ in range(100):
                packer.write(block)
    else:
        file.write_bytes(gzip.compress(block * 20, 1) * 3)
    assert file.stat().st_size < 2 << 20
    grown = peak_growth(f"""
for by in (WholeFile(), Lines(), Paragraphs(), Delimiter("|")):
    source = TextFiles({str(file)!r}, by=by, longest=1 << 20)
    records = [record for shard in source.shards() for record in source.read(shard)]
    assert [record.problem for record in records] == ["too long"], (by, records)
""")
    assert grown < 96


@linux
def test_a_large_record_of_a_web_archive_is_passed_over(tmp_path: Path) -> None:
    size = 200_000_000
    names = ("WARC-Type", "WARC-Record-ID", "Content-Type", "Content-Length")
    header = "WARC/1.0\r\n{}: {{}}\r\n{}: <{{}}>\r\n{}: text/plain\r\n{}: {{}}\r\n\r\n".format(*names)
    path = tmp_path / "a.warc"
    with path.open("wb") as out:
        for kind, number in (("resource", 1), ("conversion", 2)):
            out.write(header.format(kind, number, size).encode())
            out.seek(size, os.SEEK_CUR)
            out.write(b"\r\n\r\n")
        out.write(header.format("conversion", 3, 4).encode() + b"text\r\n\r\n")
    grown = peak_growth(f"""
bad, found = Warc({str(path)!r}).read(Shard("a.warc", ("a.warc",)))
assert bad.problem == "too long" and "200,000,000 bytes" in bad.message and found.text == "text", (bad, found)
""")
    assert grown < 64


@linux
def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    line = json.dumps({"text": "word " * 2000}).encode() + b"\n"
    for number, times in enumerate((1_000, 5_000)):
        (tmp_path / f"{number}.jsonl.gz").write_bytes(gzip.compress(line * times, 1))
    code = "assert sum(1 for _ in JsonLines({!r}).documents()) == {}"
    small, large = (peak_growth(code.format(str(tmp_path / f"{n}.jsonl.gz"), t)) for n, t in ((0, 1_000), (1, 5_000)))
    # The larger file has 40 MB more of text.
    assert large < small + 8 and large < 32


@linux
def test_memory_does_not_grow_with_a_row_group(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for rows in (3_000, 10_000):
        table = pa.table({"text": [noise.bytes(1000).hex() for _ in range(rows)]})
        pq.write_table(table, tmp_path / f"{rows}.parquet", row_group_size=rows)
    code = "assert sum(1 for _ in Parquet({!r}).documents()) == {}"
    small, large = (peak_growth(code.format(str(tmp_path / f"{n}.parquet"), n)) for n in (3_000, 10_000))
    # The larger file has 14 MB more of text. Arrow itself is part of both.
    assert large < small + 8


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_flipped_byte_is_seen(tmp_path: Path, pack: Callable[..., bytes]) -> None:
    suffix = ".gz" if pack is gzip.compress else ".zst"
    text = b"".join(b"line %d of a text\n" % (i * 7919) for i in range(2000))
    packer = zstandard.ZstdCompressor(write_checksum=True).compress if suffix == ".zst" else pack
    packed = bytearray(packer(text))
    packed[len(packed) // 2] ^= 0x10
    (tmp_path / f"a.txt{suffix}").write_bytes(packed)
    source = TextFiles(tmp_path, by=Lines())
    records = [record for shard in source.shards() for record in source.read(shard)]
    assert records[-1].problem in ("damaged file", "truncated archive")


def test_the_end_of_a_line_is_not_counted(tmp_path: Path) -> None:
    for last, whole in ((b"abc", True), (b"abc\n", True), (b"abcd", False), (b"abcd\n", False)):
        *_, found = lines(io.BufferedReader(io.BytesIO(b"xy\n" + last)), 3)
        assert found == last if whole else found == TooLong(len(last), b"abcd")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x"}\r\n' * 3)
    assert [d.text for d in JsonLines(tmp_path, longest=14).documents()] == ["x"] * 3
    with pytest.raises(ValueError, match=r"a.jsonl:1 has 15 bytes or more, but at most 13 are read"):
        list(JsonLines(tmp_path, longest=13).documents())
