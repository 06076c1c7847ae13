"""Models from disk into memory and back: against tensors read by name, on one device and on eight."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from model.convert import convert
from model.families.link import tensors_of
from model.families.published import FamilyError
from model.families.tensor_files import TensorFiles
from model.families.transfer import (
    OwnModel,
    PublishedModel,
    copy_companions,
    export,
    load,
    open_model,
    tensors_from,
    verify_copy,
)
from tests.model.families.cases import LLAMA
from tests.model.families.published_models import weights, write


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published")
    write(directory, LLAMA["llama"], shard_bytes=60_000)
    return directory


@pytest.fixture(scope="module")
def ours(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ours")
    convert(published, directory, 50_000)
    return directory


def state_of(model: nnx.Module) -> dict[tuple[str, ...], jax.Array]:
    return {tuple(map(str, path)): leaf[...] for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}


def test_each_weight_is_the_published_one(published: Path, ours: Path) -> None:
    for directory in (published, ours):
        config, model = load(directory)
        state = state_of(model)
        assert config.layers == 3
        for i in range(3):
            query = weights(f"model.layers.{i}.self_attn.q_proj.weight", (48, 48))
            np.testing.assert_array_equal(state["blocks", "0", "attention", "query"][i], query.T.reshape(48, 4, 12))
            down = weights(f"model.layers.{i}.mlp.down_proj.weight", (48, 80))
            np.testing.assert_array_equal(state["blocks", "0", "feedforward", "down"][i], down.T)
        np.testing.assert_array_equal(state["unembedding",], weights("lm_head.weight", (97, 48)).T)
        np.testing.assert_array_equal(state["final_norm", "scale"], weights("model.norm.weight", (48,)))


def across(path: tuple[str, ...], shape: tuple[int, ...]) -> jax.sharding.Sharding:
    """As many axes as divide, the last first: 4 x 2 devices."""
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
    left, spec = ["b", "a"], [None] * len(shape)
    for at in reversed(range(len(shape))):
        if left and shape[at] % mesh.shape[left[-1]] == 0:
            spec[at] = left.pop()
    return NamedSharding(mesh, PartitionSpec(*spec))


@pytest.mark.parametrize("layout", ["published", "ours"])
def test_shards_are_those_of_the_whole(layout: str, request: pytest.FixtureRequest, monkeypatch: Any) -> None:
    directory = request.getfixturevalue(layout)
    whole = state_of(load(directory)[1])
    read: Counter[str] = Counter()
    made: list[int] = []
    reading, empty = TensorFiles.read, np.empty

    def spy(self: TensorFiles, name: str) -> np.ndarray:
        read[name] += 1
        return reading(self, name)

    def counted(shape: Any, *args: Any, **others: Any) -> np.ndarray:
        array = empty(shape, *args, **others)
        made.append(array.nbytes)
        return array

    monkeypatch.setattr(TensorFiles, "read", spy)
    monkeypatch.setattr(np, "empty", counted)
    placed = state_of(load(directory, across)[1])
    monkeypatch.undo()
    # Each tensor is read once, and no buffer is larger than a shard.
    assert set(read.values()) == {1} and len(read) == len(TensorFiles(directory).names())
    largest = max(shard.data.nbytes for leaf in placed.values() for shard in leaf.addressable_shards)
    assert max(made) == largest <= max(leaf.nbytes for leaf in whole.values()) // 2
    for path, leaf in placed.items():
        assert leaf.sharding == across(path, leaf.shape)
        np.testing.assert_array_equal(leaf, whole[path])


def test_what_is_exported_from_memory_is_what_was_loaded(published: Path, tmp_path: Path) -> None:
    config, model = load(published)
    tensors, read = tensors_from(model)
    assert tensors == tensors_of(model)
    family = PublishedModel(published).family
    export(family, config, read, lambda _: np.dtype(np.float32), tmp_path, shard_bytes=70_000)
    one, other = TensorFiles(published), TensorFiles(tmp_path)
    assert sorted(one.names()) == sorted(other.names())
    assert all(one.read(name).tobytes() == other.read(name).tobytes() for name in one.names())
    assert PublishedModel(tmp_path).config == config


def test_a_family_that_cannot_express_it_writes_nothing(published: Path, tmp_path: Path) -> None:
    import dataclasses

    from model.norms import LayerNorm

    config, model = load(published)
    odd = dataclasses.replace(config, norm=LayerNorm())
    with pytest.raises(FamilyError, match="model.norm is LayerNorm; this family has RMSNorm"):
        export(PublishedModel(published).family, odd, tensors_from(model)[1], lambda _: np.dtype("f4"), tmp_path)
    assert not any(tmp_path.iterdir())


def test_companions(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("tokenizer.json", "merges.txt", "run_me.py", "README.md"):
        (tmp_path / "a" / name).write_text(name)
    assert copy_companions(tmp_path / "a", tmp_path / "b") == ["tokenizer.json", "merges.txt"]
    assert {path.name: path.read_text() for path in (tmp_path / "b").iterdir()} == {
        "tokenizer.json": "tokenizer.json", "merges.txt": "merges.txt"
    }  # fmt: skip


def test_copies_are_compared(published: Path, ours: Path, tmp_path: Path) -> None:
    verify_copy(open_model(published), open_model(ours))
    damaged = tmp_path / "damaged"
    shutil.copytree(ours, damaged)
    path = sorted(damaged.glob("*.safetensors"))[-1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FamilyError, match=f"^'blocks.2.feedforward.down' differs between {published} and {damaged}$"):
        verify_copy(open_model(published), open_model(damaged))


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("{", "espalier.json does not say its format"),
        ("[]", "espalier.json does not say its format"),
        ('{"format": 99}', "espalier.json has format 99, and this version reads 1"),
    ],
)
def test_a_bad_marker(marker: str, message: str, ours: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(ours, tmp_path / "copy")
    assert isinstance(open_model(copy), OwnModel)
    (copy / "espalier.json").write_text(marker)
    with pytest.raises(FamilyError, match=message):
        open_model(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 5, "head_dim": 8}, "config.json describes no model: Attention.heads is 5, which"),
        ({"hidden_size": "48"}, "config.json describes no model: "),
        ({"num_attention_heads": 0}, "config.json describes no model: "),
        ({"rope_scaling": {"rope_type": "linear"}}, "config.json lacks 'factor'"),
        ({"rope_scaling": "linear"}, "config.json describes no model: "),
        ({"num_hidden_layers": None}, "config.json lacks 'num_hidden_layers'"),
    ],
)
def test_values_that_no_model_has(changes: dict[str, Any], message: str, published: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(published, tmp_path / "copy")
    (copy / "config.json").write_text(json.dumps({**LLAMA["llama"], **changes}))
    with pytest.raises(FamilyError, match=message):
        open_model(copy)
