"""Our safetensors files against the safetensors library, both ways, and what is said of bad ones."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from model.families.published import FamilyError
from model.families.tensor_files import INDEX, SINGLE, TensorFiles, TensorWriter, chunks

DTYPES = [np.dtype(name) for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8")]
DTYPES += [np.dtype(ml_dtypes.bfloat16), np.dtype(bool)]


def tensors(shapes: list[tuple[int, ...]], dtypes: list[np.dtype]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {
        f"t{i}": rng.integers(0, 2 if dtype.kind == 'b' else 100, shape).astype(dtype)
        for i, (shape, dtype) in enumerate(zip(shapes, dtypes))
    }


def write(directory: Path, made: dict[str, np.ndarray], shard_bytes: int = 1 << 40) -> None:
    writer = TensorWriter(directory, [(name, t.shape, t.dtype) for name, t in made.items()], shard_bytes)
    for name, tensor in made.items():
        writer.write(name, tensor)
    writer.close()


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.shape, one.dtype, one.tobytes()) == (other.shape, other.dtype, other.tobytes())


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=5),
    st.permutations(DTYPES), st.integers(1, 200),
)  # fmt: skip
def test_the_library_reads_what_we_write(
    tmp_path_factory: pytest.TempPathFactory, shapes: list, dtypes: list, shard_bytes: int
) -> None:
    directory, made = tmp_path_factory.mktemp("files"), tensors(shapes, dtypes)
    write(directory, made, shard_bytes)
    files = sorted(directory.glob("*.safetensors"))
    read = {}
    for file in files:
        held = load_file(file)
        # A file beyond the limit holds one tensor, which is larger by itself.
        assert sum(t.nbytes for t in held.values()) <= shard_bytes or len(held) == 1
        read |= held
    assert read.keys() == made.keys() and all(same(read[name], made[name]) for name in made)
    if len(files) == 1:
        assert [file.name for file in directory.iterdir()] == [SINGLE]
    else:
        index = json.loads((directory / INDEX).read_text())
        assert index["metadata"]["total_size"] == sum(t.nbytes for t in made.values())
        assert sorted(index["weight_map"]) == sorted(made)
        assert all(name in load_file(directory / file) for name, file in index["weight_map"].items())
        count = len(files)
        assert [file.name for file in files] == [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    ours = TensorFiles(directory)
    assert all(same(ours.read(name), made[name]) for name in made)


@given(st.permutations(DTYPES))
def test_we_read_what_the_library_writes(tmp_path_factory: pytest.TempPathFactory, dtypes: list) -> None:
    directory = tmp_path_factory.mktemp("theirs")
    made = tensors([(2, 3), (4,), (), (1, 2, 3)], dtypes)
    save_file(made, directory / SINGLE, metadata={"format": "pt"})
    files = TensorFiles(directory)
    assert sorted(files.names()) == sorted(made)
    for name, tensor in made.items():
        assert (files.shape(name), files.dtype(name)) == (tensor.shape, tensor.dtype)
        assert same(files.read(name), tensor)
        assert files.file(name) == directory / SINGLE


def test_a_turned_tensor_is_written_as_it_reads(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    write(tmp_path, {"a": turned})
    np.testing.assert_array_equal(load_file(tmp_path / SINGLE)["a"], turned)


def test_chunks_are_small_and_in_order() -> None:
    tensor = np.arange(5 << 20, dtype=np.int64).reshape(-1, 1 << 10).T
    parts = list(chunks(tensor))
    assert len(parts) > 1 and max(part.nbytes for part in parts) <= 8 << 20
    np.testing.assert_array_equal(np.concatenate(parts), tensor)
    assert [part.shape for part in chunks(np.zeros(()))] == [()]


def test_what_was_not_announced_is_refused(tmp_path: Path) -> None:
    writer = TensorWriter(tmp_path, [("a", (2,), np.dtype("float32"))])
    for name, tensor in (
        ("b", np.zeros(2, np.float32)), ("a", np.zeros(3, np.float32)), ("a", np.zeros(2, np.float16))
    ):  # fmt: skip
        with pytest.raises(FamilyError, match=r"was written, not 'a' \(2,\) float32"):
            writer.write(name, tensor)


def sharded(directory: Path) -> Path:
    write(directory, tensors([(4,), (4,)], [DTYPES[1]] * 2), 16)
    return directory / INDEX


def changed(index: Path, **files: Any) -> None:
    values = json.loads(index.read_text())
    values["weight_map"] |= files
    index.write_text(json.dumps(values))


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "sub/model.safetensors", "..", "."])
def test_an_index_stays_in_its_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    index = sharded(tmp_path / "m")
    for place in ("secret.safetensors", "m/sub/model.safetensors"):
        save_file({"t1": np.zeros(4, np.float32)}, tmp_path / place)
    changed(index, t1=name)
    with pytest.raises(FamilyError, match="(which is no file of the directory|which is missing)$") as told:
        TensorFiles(tmp_path / "m")
    assert f"names '{name}'" in str(told.value) or f"names {name}" in str(told.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no index of tensors: "),
        ("{}", "is no index of tensors: KeyError"),
        ('{"weight_map": ["a"]}', "weight_map does not give a file for each$"),
        ('{"weight_map": {"a": 1}}', "weight_map does not give a file for each$"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "names gone.safetensors, which is missing$"),
    ],
)
def test_bad_indices(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(FamilyError, match=message):
        TensorFiles(tmp_path)


def test_an_index_that_is_wrong_about_a_file(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    changed(index, t1="model-00001-of-00002.safetensors", t0="model-00002-of-00002.safetensors")
    with pytest.raises(FamilyError, match="says that 't0' is in model-00002-of-00002.safetensors, which does not"):
        TensorFiles(tmp_path)


def test_a_tensor_twice(tmp_path: Path) -> None:
    sharded(tmp_path)
    save_file(tensors([(4,), (4,)], [DTYPES[1]] * 2), tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(FamilyError, match="holds 't0' a second time; model-00001-of-00002.safetensors has it already"):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("left", [0, 4, 40, -1])
def test_truncated_files(left: int, tmp_path: Path) -> None:
    write(tmp_path, tensors([(40,)], [DTYPES[1]]))
    path = tmp_path / SINGLE
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(FamilyError, match="model.safetensors is no whole safetensors file: "):
        TensorFiles(tmp_path)


def test_headers_that_lie(tmp_path: Path) -> None:
    for header, size in (({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}, 8), ({"a": 3}, 0)):
        text = json.dumps(header).encode()
        (tmp_path / SINGLE).write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
        with pytest.raises(FamilyError, match="model.safetensors is no whole safetensors file: "):
            TensorFiles(tmp_path)
    (tmp_path / SINGLE).write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(FamilyError, match="is no whole safetensors file: "):
        TensorFiles(tmp_path)


def test_pickles_are_named_and_never_opened(tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match="has neither model.safetensors nor model.safetensors.index.json$"):
        TensorFiles(tmp_path)
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x04")
    with pytest.raises(FamilyError, match="model-00001-of-00002.bin is a pickle, .*; convert it to safetensors$"):
        TensorFiles(tmp_path)
    # One that calls itself safetensors.
    (tmp_path / SINGLE).write_bytes(b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix")
    with pytest.raises(FamilyError, match="model.safetensors is no whole safetensors file: "):
        TensorFiles(tmp_path)


def test_formats_that_we_do_not_have(tmp_path: Path) -> None:
    text = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / SINGLE).write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(FamilyError, match="'a' has format F8_E4M3; supported are F64, F32, F16, BF16"):
        TensorFiles(tmp_path).dtype("a")
