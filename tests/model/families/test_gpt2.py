"""GPT-2's matrices lie [in, out], three joined in one; the first files lack the prefix of the names."""

from pathlib import Path

import jax
import numpy as np

from model.families.forms import HeadsIn, HeadsOut, Joined, Then, Transposed
from model.families.tensor_files import TensorFiles, TensorWriter
from model.families.transfer import PublishedModel
from tests.model.families.cases import CASES
from tests.model.families.published_models import write


def test_the_joined_matrix() -> None:
    heads, features, embed = 2, 3, 6
    rng = np.random.default_rng(0)
    matrix, x = rng.normal(size=(embed, 3 * embed)), rng.normal(size=embed)
    form = Joined((embed,) * 3, (Then(Transposed(), HeadsIn(heads)),) * 3, axis=1)
    # As in the model's forward pass: split into thirds, each into heads.
    rows = np.split(x @ matrix, 3)
    for row, weight in zip(rows, form.to_ours([matrix]), strict=True):
        np.testing.assert_allclose(np.einsum("e,end->nd", x, weight), row.reshape(heads, features), rtol=1e-12)
    assert np.array_equal(form.to_theirs(form.to_ours([matrix]))[0], matrix)
    shapes = jax.eval_shape(form.to_theirs, [jax.ShapeDtypeStruct((embed, heads, features), "float32")] * 3)
    assert [found.shape for found in shapes] == [(embed, 3 * embed)]


def test_the_output_matrix() -> None:
    heads, features, embed = 2, 3, 6
    rng = np.random.default_rng(0)
    matrix, mixed = rng.normal(size=(embed, embed)), rng.normal(size=(heads, features))
    form = Then(Transposed(), HeadsOut(heads))
    (weight,) = form.to_ours([matrix])
    np.testing.assert_allclose(np.einsum("nd,nde->e", mixed, weight), mixed.reshape(-1) @ matrix, rtol=1e-12)
    assert np.array_equal(form.to_theirs([weight])[0], matrix)


def test_files_without_the_prefix_and_with_the_old_buffers(tmp_path: Path) -> None:
    write(tmp_path / "new", CASES["gpt2"])
    files = TensorFiles(tmp_path / "new")
    tensors = {name.removeprefix("transformer."): files.read(name) for name in files.names()}
    tensors["h.0.attn.bias"] = np.tril(np.ones((1, 1, 4, 4), np.float32))
    old = tmp_path / "old"
    old.mkdir()
    writer = TensorWriter(old, [(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()])
    for name, tensor in tensors.items():
        writer.write(name, tensor)
    writer.close()
    (old / "config.json").write_text((tmp_path / "new" / "config.json").read_text())
    one, other = PublishedModel(tmp_path / "new"), PublishedModel(old)
    for name in one.tensors:
        assert np.array_equal(one.ours(name), other.ours(name))
