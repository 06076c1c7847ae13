"""`python -m data.tokenize`, seen from outside: through kills, with any number of workers, and given bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from data.prepared import ExistingStore, Prepared, prepare
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
            {"text": f"Document {i} of shard {shard}: caf\u00e9 " + "word " * (7 * i), "id": f"{shard}-{i}", "language": "en"}
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
    Tokenization(slow(str(docs)), Bytes(), TailSplit(0.2)).run(tmp_path / "whole", 1, lines.append)
    flags = [
        f"--import={user}", f'--documents=Slow("{docs}")', f"--to={tmp_path / 'out'}", "--tokenizer=Bytes()",
        "--split=TailSplit(0.2)", "--workers=2",
    ]  # fmt: skip
    process = start(*flags, SLOW_SECONDS="0.7")
    work = tmp_path / "out" / ".tokenizing"
    while len(list(work.glob("shard-*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Workers whose parent is gone go too, rather than wait for ever.
    assert not psutil.wait_procs(children, timeout=20)[1]
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
    Tokenization(slow(str(docs)), Bytes(), TailSplit(0.2)).run(tmp_path / "out", 1, lines.append)
    assert lines[-1].startswith("data: found")
