"""`python -m data.tokenize`, seen from outside: through kills, with any number of workers, and given bad input."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from data.sources import CuratedDocuments
from data.split import HashSplit, TailSplit
from data.tokenization.corpus import Tokenization
from data.tokenizers import Bytes, SentencePiece
from data.user_code import load_file

ROOT = Path(__file__).resolve().parents[2]
SHARDS = 5
# A source whose shards take their time, so that a test can stop the work between two of them.
SLOW = '''
import os, time
from dataclasses import dataclass
from data.sources import CuratedDocuments

@dataclass(frozen=True)
class Slow(CuratedDocuments):
    def read(self, shard):
        time.sleep(float(os.environ.get("SLOW_SECONDS", 0)))
        yield from super().read(shard)
'''


def write_documents(directory: Path, shards: int = SHARDS) -> Path:
    directory.mkdir()
    for shard in range(shards):
        records = [
            {"text": f"Document {i} of shard {shard}: caf\u00e9 " + "word " * (7 * i), "id": f"{shard}-{i}"}
            for i in range(12)
        ]
        (directory / f"part-{shard}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "data.tokenize", *arguments],
        cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_kill_and_the_number_of_workers_leave_no_trace(tmp_path: Path) -> None:
    user = tmp_path / "slow.py"
    user.write_text(SLOW)
    docs = write_documents(tmp_path / "docs")
    slow = load_file(str(user)).Slow
    lines: list[str] = []
    Tokenization(slow(str(docs)), Bytes(), HashSplit(0.2)).run(tmp_path / "whole", 1, lines.append)
    flags = [
        f"--import={user}", f'--documents=Slow("{docs}")', f"--to={tmp_path / 'out'}", "--tokenizer=Bytes()",
        "--split=HashSplit(0.2)", "--workers=2",
    ]  # fmt: skip
    process = start(*flags, SLOW_SECONDS="0.7")
    work = tmp_path / "out" / ".tokenizing"
    while len(list(work.glob("shard-*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # Workers whose parent is gone go too, rather than wait for ever.
    _, alive = psutil.wait_procs(children, timeout=20)
    for child in alive:
        child.kill()
    process.communicate()
    assert not alive
    assert not (tmp_path / "out" / "prepared.json").exists()
    done = {int(p.stem.removeprefix("shard-")) for p in work.glob("shard-*.json")}
    assert 2 <= len(done) < SHARDS
    damaged = tmp_path / "out" / "train" / f"shard-{min(done):05d}.tokens"
    raw = damaged.read_bytes()
    damaged.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    status, out, err = run(*flags)
    assert status == 0, err
    assert f"{damaged} is corrupt" in out and "it is tokenized again" in out
    assert f"going on in {tmp_path / 'out'}: {len(done) - 1} of {SHARDS} shards are done" in out
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    Tokenization(slow(str(docs)), Bytes(), HashSplit(0.2)).run(tmp_path / "out", 1, lines.append)
    assert lines[-1].startswith("data: found")


def test_the_number_of_workers_is_not_seen(tmp_path: Path) -> None:
    docs = write_documents(tmp_path / "docs", 3)
    tokenization = Tokenization(CuratedDocuments(str(docs)), SentencePiece(300), TailSplit(0.3))
    for workers in (1, 2):
        tokenization.run(tmp_path / str(workers), workers, lambda line: None)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_help_and_wrong_flags(tmp_path: Path) -> None:
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    for flag in "documents to tokenizer split bad_input sample workers verify import".split():
        assert f"--{flag} " in out or f"--[no]{flag}" in out
    docs = write_documents(tmp_path / "docs", 1)
    for flags, message in (
        (["--split=HashSplt(0.1)"], "--split: split: there is no type 'HashSplt' here; there is HashSplit, TailSplit"),
        (["--tokenizer=SentencePiece(vocab=10)"], "--tokenizer: SentencePiece.vocab is 10, but"),
    ):
        status, out, err = run(f"--documents={docs}", f"--to={tmp_path / 'out'}", *flags)
        assert status == 2 and out == "" and err.startswith(f"error: {message}"), err
    assert len(err.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_verify_reads_every_byte(tmp_path: Path) -> None:
    docs = write_documents(tmp_path / "docs", 1)
    Tokenization(CuratedDocuments(str(docs)), Bytes(), HashSplit(0.3)).run(tmp_path / "out", 1, lambda line: None)
    status, out, _ = run(f"--to={tmp_path / 'out'}", "--verify")
    assert status == 0 and out.count("is as it was written") == 2
    shard = tmp_path / "out" / "validation" / "shard-00000.tokens"
    raw = bytearray(shard.read_bytes())
    raw[3] ^= 1
    shard.write_bytes(raw)
    status, _, err = run(f"--to={tmp_path / 'out'}", "--verify")
    assert status == 1 and err.startswith(f"error: {shard} is corrupt: its sha256 is") and len(err.splitlines()) == 1


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A directory of a user who is not root, who may read anything, and who the test is while it runs."""
    with tempfile.TemporaryDirectory() as name:
        # Whatever is imported late is imported as root.
        docs = write_documents(Path(name) / "warm", 1)
        Tokenization(CuratedDocuments(str(docs)), Bytes(), HashSplit(0.3)).run(Path(name) / "w", 1, lambda line: None)
        if os.getuid() != 0:
            yield Path(name)
            return
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_a_path_without_permission_is_named(nobody: Path) -> None:
    docs = write_documents(nobody / "docs", 2)
    tokenization = Tokenization(CuratedDocuments(str(docs)), Bytes(), HashSplit(0.3))
    (nobody / "shut").mkdir(mode=0o555)
    with pytest.raises(PermissionError) as caught:
        tokenization.run(nobody / "shut" / "out", 1, lambda line: None)
    assert caught.value.filename == str(nobody / "shut" / "out")
    (docs / "part-1.jsonl").chmod(0)
    with pytest.raises(ValueError, match=r"part-1.jsonl cannot be opened: Permission denied"):
        tokenization.run(nobody / "out", 1, lambda line: None)
    assert not (nobody / "out" / "prepared.json").exists()
