"""Small published models on disk, their weights a function of the names of their tensors."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.families.family import Family
from model.families.link import tensors_of, theirs_shapes
from model.families.published import Published
from model.families.registry import family_of
from model.families.tensor_files import TensorWriter
from model.families.transfer import abstract


def weights(name: str, shape: tuple[int, ...], offset: float = 0.0) -> np.ndarray:
    """Weights that keep activations of order one, so that every part of the model is felt.

    Scales of norms lie around 1, of which `offset` is no weight.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) == 1:
        scale = ("norm" in name.lower() or ".ln_" in name) and not name.endswith("bias")
        return ((1.0 - offset if scale else 0.0) + 0.2 * rng.normal(size=shape)).astype(np.float32)
    return (rng.normal(size=shape) / np.sqrt(min(shape[-2:]))).astype(np.float32)


def write(directory: Path, values: Mapping[str, Any], shard_bytes: int = 1 << 30) -> Family:
    """Writes config.json and safetensors; returns the family."""
    directory.mkdir(parents=True, exist_ok=True)
    published = Published(values)
    family = family_of(published)
    config = family.config(published)
    tensors = tensors_of(abstract(family, config))
    announced = [
        (name, shape, np.dtype(np.float32))
        for link in family.links(config)
        for name, shape in zip(link.theirs, theirs_shapes(link, tensors))
    ]
    offset = getattr(getattr(config, "norm", None), "scale_offset", 0.0)
    writer = TensorWriter(directory, announced, shard_bytes)
    for name, shape, _ in announced:
        writer.write(name, weights(name, shape, offset))
    writer.close()
    (directory / "config.json").write_text(json.dumps(dict(values)))
    return family


def drawn(vocab: int, rows: int, length: int) -> np.ndarray:
    """Tokens."""
    return np.random.default_rng(3).integers(3, vocab, (rows, length)).astype(np.int32)


def goldens_of(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The first case of each architecture."""
    found: dict[str, str] = {}
    for name, values in cases.items():
        found.setdefault(values["architectures"][0], name)
    return {name: cases[name] for name in found.values()}
