"""`python -m model.convert` as a person calls it: both ways, bit for bit, and whole or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from data import console
from model.convert import convert
from model.families import transfer
from model.families.published import FamilyError
from tests.model.families.cases import LLAMA
from tests.model.families.published_models import write

ROOT = Path(__file__).resolve().parents[2]
INDEX = "model.safetensors.index.json"
COMPANIONS = {"tokenizer.json": b'{"a": 1}', "tokenizer.model": bytes(range(256)), "generation_config.json": b"{}"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of several files in bfloat16, with tokenizer files and one that is none of the model's."""
    directory = tmp_path_factory.mktemp("given") / "published"
    write(directory, LLAMA["llama"], shard_bytes=80_000)
    for path in directory.glob("*.safetensors"):
        tensors = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
    for name, content in {**COMPANIONS, "modeling_evil.py": b"raise SystemExit"}.items():
        (directory / name).write_bytes(content)
    return directory


def tensors(directory: Path) -> dict[str, np.ndarray]:
    return {name: t for path in sorted(directory.glob("*.safetensors")) for name, t in load_file(path).items()}


def program(source: Path, target: Path, *flags: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [*before, sys.executable, "-m", "model.convert", f"--from={source}", f"--to={target}", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def one_line(result: subprocess.CompletedProcess) -> str:
    assert result.stdout == "" and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result
    return result.stderr


def test_there_and_back(published: Path, tmp_path: Path) -> None:
    ours, again = tmp_path / "made" / "ours", tmp_path / "again"
    again.mkdir()  # an empty directory is as good as none
    there = program(published, ours, "--verify")
    assert there.returncode == 0, there.stderr
    assert there.stdout == (
        f"convert: llama, 30 tensors, to our layout in {ours}, with 3 other files, every bit compared\n"
    )
    held = tensors(ours)
    assert {t.dtype for t in held.values()} == {np.dtype(ml_dtypes.bfloat16)} and len(held) == 30
    assert held["blocks.1.attention.key"].shape == (48, 2, 12)
    back = program(ours, again, "--verify", "--shard_megabytes=1")
    assert back.returncode == 0 and "to published layout" in back.stdout, back.stderr
    one, other = tensors(published), tensors(again)
    assert one.keys() == other.keys()
    assert all((one[n].dtype, one[n].tobytes()) == (other[n].dtype, other[n].tobytes()) for n in one)
    expected = {**COMPANIONS, "config.json": (published / "config.json").read_bytes()}
    for directory in (ours, again):
        left = {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".safetensors"}
        left.pop("espalier.json", None)
        assert left == expected
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["ours"]


def edit(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes a JSON file of a model."""

    def apply(directory: Path) -> None:
        values = json.loads((directory / name).read_text())
        change(values)
        (directory / name).write_text(json.dumps(values))

    return apply


def retensor(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    """Changes the tensors of a model, which then lie in one file."""

    def apply(directory: Path) -> None:
        held = tensors(directory)
        for path in [*directory.glob("*.safetensors"), directory / INDEX]:
            path.unlink()
        change(held)
        save_file(held, directory / "model.safetensors")

    return apply


def pickled(directory: Path) -> None:
    for path in [*directory.glob("*.safetensors"), directory / INDEX]:
        path.unlink()
    (directory / "pytorch_model.bin").write_bytes(b"\x80\x02cposix\nsystem\n")


def cut(directory: Path) -> None:
    path = directory / "model-00002-of-00004.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


NORM = "model.layers.1.input_layernorm.weight"
KEY = "model.layers.2.self_attn.k_proj.weight"
BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), "{d} has no config.json, so it is no published model"),
    "unknown architecture": (
        edit("config.json", lambda c: c.update(architectures=["MambaForCausalLM"])),
        "{d}/config.json names the architecture 'MambaForCausalLM'; known are ",
    ),
    "missing tensor": (retensor(lambda t: t.pop(NORM)), "{d} lacks the tensor '" + NORM + "'"),
    "surplus tensor": (
        retensor(lambda t: t.update(odd=t[NORM])), "{d}/model.safetensors holds 'odd', which llama does not have"
    ),
    "wrong shape": (
        retensor(lambda t: t.update({KEY: t[KEY][:12].copy()})),
        "{d}/model.safetensors: '" + KEY + "' has shape (12, 48); {d}/config.json makes it (24, 48)",
    ),
    "wrong dtype": (
        retensor(lambda t: t.update({KEY: t[KEY].astype(np.int32)})),
        "{d}/model.safetensors: '" + KEY + "' has format int32, no float",
    ),
    "truncated": (cut, "{d}/model-00002-of-00004.safetensors is no whole safetensors file: "),
    "pickle": (pickled, "{d}/pytorch_model.bin is a pickle, which can run code when it is read; convert it to "),
    "index out of the directory": (
        edit(INDEX, lambda i: i["weight_map"].update({NORM: "../evil.safetensors"})),
        "{d}/" + INDEX + " names '../evil.safetensors', which is no file of the directory",
    ),
    "index at a root": (
        edit(INDEX, lambda i: i["weight_map"].update({NORM: "/etc/passwd"})),
        "{d}/" + INDEX + " names '/etc/passwd', which is no file of the directory",
    ),
    "index at a missing file": (
        edit(INDEX, lambda i: i["weight_map"].update({NORM: "gone.safetensors"})),
        "{d}/" + INDEX + " names gone.safetensors, which is missing",
    ),
    "more layers than tensors": (
        edit("config.json", lambda c: c.update(num_hidden_layers=4)), "{d} lacks the tensor 'model.layers.3."
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_a_sentence_and_nothing_is_written(case: str, published: Path, tmp_path: Path) -> None:
    change, message = BAD[case]
    source = shutil.copytree(published, tmp_path / "source")
    change(source)
    with pytest.raises(FamilyError) as told:
        convert(source, tmp_path / "sub" / "target", 1 << 30)
    assert console._sentence(told.value).startswith(message.format(d=source)), told.value
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("case", ["unknown architecture", "pickle"])
def test_bad_input_as_a_process(case: str, published: Path, tmp_path: Path) -> None:
    change, message = BAD[case]
    source = shutil.copytree(published, tmp_path / "source")
    change(source)
    result = program(source, tmp_path / "target")
    assert result.returncode == 1 and message.format(d=source) in one_line(result)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_directories_that_cannot_be(published: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "precious").write_text("data")
    result = program(published, full)
    assert result.returncode == 2 and f"--to={full} exists and is not empty; name a new directory" in one_line(result)
    assert [path.name for path in full.iterdir()] == ["precious"]
    result = program(tmp_path / "none", tmp_path / "target")
    assert result.returncode == 2 and f"--from={tmp_path / 'none'} is no directory" in one_line(result)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_file_that_cannot_grow(published: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    result = program(published, tmp_path / "target", before=("bash", "-c", 'ulimit -f 100; exec "$@"', "-"))
    assert result.returncode == 1 and f"{tmp_path / 'target'}: file too large" in one_line(result)
    assert not any(tmp_path.iterdir())


def test_a_full_disk(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(transfer.TensorWriter, "write", full)
    with pytest.raises(OSError) as told:
        convert(published, tmp_path / "target", 1 << 30)
    assert console._sentence(told.value) == f"no space left on device while writing {tmp_path / 'target'}"
    assert not any(tmp_path.iterdir())


SLOW = """
import runpy, sys, time
from model.families.tensor_files import TensorWriter
write, count = TensorWriter.write, []
def slowly(self, name, tensor):
    write(self, name, tensor)
    count.append(name)
    if len(count) == 7:
        print("midway", flush=True)
        time.sleep(60)
TensorWriter.write = slowly
runpy.run_module("model.convert", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_stopped_midway(kind: signal.Signals, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    command = [sys.executable, "-c", SLOW, f"--from={published}", f"--to={target}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "midway\n"
        time.sleep(0.1)
        process.send_signal(kind)
        process.wait(20)
    left = [path.name for path in tmp_path.iterdir()]
    if kind == signal.SIGINT:
        assert process.returncode == 130 and left == []
    else:
        # What is left is hidden, and in nobody's way.
        assert len(left) == 1 and left[0].startswith(".target.tmp-")
    convert(published, target, 1 << 30, verify=True)
    assert (target / "espalier.json").is_file()
