"""Weights between a directory of safetensors and a model: straight into their places on devices, and back."""

import functools
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from model.families.family import Family
from model.families.link import Link, Where, tensors_of, theirs_shapes
from model.families.placing import Parts, Shardings, groups
from model.families.published import CONFIG, FamilyError, Published, understanding
from model.families.registry import family_of
from model.families.tensor_files import SHARD_BYTES, TensorFiles, TensorWriter, chunks

# What belongs to a model besides its weights; copied byte for byte.
COMPANIONS = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
    "chat_template.json", "generation_config.json",
)  # fmt: skip


class PublishedModel:
    """A published model on disk, checked against what its config says: every tensor there, none too many.

    Attributes:
      family: its family.
      config: its spec.
      files: its tensors.

    Raises FamilyError, naming the tensor or file, for whatever does not fit.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        published = Published.read(directory)
        self.family: Family = family_of(published)
        with understanding(published.place):
            self.config: Any = self.family.config(published)
        self.files = TensorFiles(directory)
        self.tensors = tensors_of(abstract(self.family, self.config))
        self.links = self._linked()
        _complete(self.links, self.tensors)
        self._check()
        self._last: tuple[Link, list[np.ndarray]] | None = None

    def _linked(self) -> dict[str, Link]:
        """The link of each of our tensors."""
        prefix, links = self.family.prefix, self.family.links(self.config)
        if prefix and not any(name.startswith(prefix) for name in self.files.names()):
            links = (Link(link.ours, tuple(n.removeprefix(prefix) for n in link.theirs), link.form) for link in links)
        return {name: link for link in links for name in link.ours}

    def ours(self, name: str) -> np.ndarray:
        """One of our tensors, in the format of the file."""
        link = self.links[name]
        # The tensors of one link are asked for in turn.
        if self._last is None or self._last[0] is not link:
            self._last = None
            self._last = link, link.form.to_ours(Lazily(link.theirs, self.files.read))
        return self._last[1][link.ours.index(name)]

    def dtype(self, name: str) -> np.dtype:
        """The format of one of our tensors in its file."""
        return self.files.dtype(self.links[name].theirs[0])

    def _check(self) -> None:
        there, place = set(self.files.names()), self.directory
        for link in dict.fromkeys(self.links.values()):
            first = link.theirs[0]
            for name, shape in zip(link.theirs, theirs_shapes(link, self.tensors), strict=True):
                if name not in there:
                    raise FamilyError(f"{place} lacks the tensor '{name}'")
                if self.files.shape(name) != shape:
                    raise FamilyError(
                        f"{self.files.file(name)}: '{name}' has shape {self.files.shape(name)}; "
                        f"{place / CONFIG} makes it {shape}"
                    )
                if (dtype := self.files.dtype(name)).kind not in "fV":
                    raise FamilyError(f"{self.files.file(name)}: '{name}' has format {dtype}, no float")
                if dtype != self.files.dtype(first):
                    raise FamilyError(
                        f"{self.files.file(name)}: '{name}' has format {dtype}, and '{first}', "
                        f"which joins it in one tensor, {self.files.dtype(first)}"
                    )
                there.discard(name)
        for name in sorted(there):
            if not self.family.surplus(self.config, name):
                raise FamilyError(f"{self.files.file(name)} holds '{name}', which {self.family.name} does not have")


class Lazily(Sequence[np.ndarray]):
    """Tensors that are read when they are asked for, and not kept.

    Args:
      names: their names.
      read: reads one.
    """

    def __init__(self, names: Sequence[str], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = names, read

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, at: Any) -> Any:
        return Lazily(self._names[at], self._read) if isinstance(at, slice) else self._read(self._names[at])


def abstract(family: Family, config: Any) -> nnx.Module:
    """The model without its weights."""
    return nnx.eval_shape(lambda: family.build(config, nnx.Rngs(0)))


def load(directory: Path, shardings: Shardings | None = None) -> tuple[Any, nnx.Module]:
    """The spec and the model of a published directory, each weight read straight into its place.

    Args:
      directory: a published model, or one of ours (see `python -m model.convert`).
      shardings: the sharding of an array by its path and shape; by default all is on the first device.

    While an array is put in place, this host's shards of it and one link's tensors are in memory besides;
    each link is read once.
    """
    source = open_model(directory)
    graph, state = nnx.split(abstract(source.family, source.config))
    leaves = {tuple(map(str, path)): variable for path, variable in nnx.to_flat_state(state)}
    first = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    links = dict.fromkeys(source.links.values())
    weights: dict[tuple[str, ...], jax.Array] = {}
    for paths, names in groups((link.ours, tuple(source.tensors[n].path for n in link.ours)) for link in links):
        parts = {}
        for path in paths:
            shape = leaves[path].shape
            sharding = first if shardings is None else shardings(path, shape)
            parts[path] = Parts(jax.ShapeDtypeStruct(shape, leaves[path].dtype), sharding)
        for name in names:
            where = source.tensors[name]
            parts[where.path].take(where.repeat, functools.partial(source.ours, name))
        weights |= {path: part.placed() for path, part in parts.items()}
    for path, variable in leaves.items():
        variable.set_value(weights[path])
    return source.config, nnx.merge(graph, state)


def tensors_from(model: nnx.Module) -> tuple[dict[str, Where], Callable[[str], np.ndarray]]:
    """The tensors of a model in memory, and a function that reads one."""
    tensors = tensors_of(model)
    state = {tuple(map(str, path)): value for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param))}

    def read(name: str) -> np.ndarray:
        where = tensors[name]
        array = state[where.path][...]
        return np.asarray(array if where.repeat is None else array[where.repeat])

    return tensors, read


def export(
    family: Family,
    config: Any,
    read: Callable[[str], np.ndarray],
    dtype: Callable[[str], np.dtype],
    directory: Path,
    values: dict[str, Any] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes config.json and the safetensors of a published model into an empty directory.

    Args:
      family: what to write it as.
      config: the spec.
      read: one of our tensors by name.
      dtype: the format it has.
      directory: where to.
      values: the config.json, if it is known; else the family's words for the spec.
      shard_bytes: a file is closed before it would grow beyond this.

    Raises FamilyError if the family cannot express the model.
    """
    values = family.published(config) if values is None else values
    tensors = tensors_of(abstract(family, config))
    links = list(family.links(config))
    _complete({name: link for link in links for name in link.ours}, tensors)
    announced = [
        (name, shape, dtype(link.ours[0]))
        for link in links
        for name, shape in zip(link.theirs, theirs_shapes(link, tensors), strict=True)
    ]
    writer = TensorWriter(directory, announced, shard_bytes)
    for link in links:
        theirs = link.form.to_theirs(Lazily(link.ours, read))
        for name, tensor in zip(link.theirs, theirs, strict=True):
            writer.write(name, tensor)
        # Before the next is read.
        del theirs, tensor
    writer.close()
    (directory / CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def copy_companions(source: Path, target: Path) -> list[str]:
    """Copies tokenizer files and the like; returns their names."""
    found = [name for name in COMPANIONS if (source / name).is_file()]
    for name in found:
        shutil.copyfile(source / name, target / name)
    return found


def _complete(links: dict[str, Link], tensors: Iterable[str]) -> None:
    missing, unknown = set(tensors) - set(links), set(links) - set(tensors)
    if missing or unknown:
        raise FamilyError(f"links do not fit the model: {sorted(missing)} are unlinked, {sorted(unknown)} unknown")


MARKER = "espalier.json"
FORMAT = 1


class OwnModel(PublishedModel):
    """A model in our layout: our names, block by block, beside the config.json that it came with."""

    def _linked(self) -> dict[str, Link]:
        path = self.directory / MARKER
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise FamilyError(f"{path} does not say its format: {error!r}") from None
        if found != FORMAT:
            raise FamilyError(f"{path} has format {found}, and this version reads {FORMAT}")
        return {name: Link((name,), (name,)) for name in self.tensors}


def open_model(directory: Path) -> PublishedModel:
    """The model in a directory, published or in our layout."""
    return OwnModel(directory) if (directory / MARKER).is_file() else PublishedModel(directory)


def publish(source: PublishedModel, directory: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes a model that is in our layout as its family publishes it, its config.json unchanged."""
    values = Published.read(source.directory).values
    export(source.family, source.config, source.ours, source.dtype, directory, dict(values), shard_bytes)
    shutil.copyfile(source.directory / CONFIG, directory / CONFIG)


def take_over(source: PublishedModel, directory: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes a published model in our layout."""
    # In the order of the links, so that each is read once.
    names = list(dict.fromkeys(name for link in source.links.values() for name in link.ours))
    tensors = [(name, source.tensors[name].shape, source.dtype(name)) for name in names]
    writer = TensorWriter(directory, tensors, shard_bytes)
    for name in names:
        writer.write(name, source.ours(name))
    writer.close()
    shutil.copyfile(source.directory / CONFIG, directory / CONFIG)
    marker = json.dumps({"format": FORMAT, "family": source.family.name})
    (directory / MARKER).write_text(marker + "\n", encoding="utf-8")


def verify_copy(one: PublishedModel, other: PublishedModel) -> None:
    """Raises FamilyError, naming the tensor, unless two models are the same bit for bit."""
    for name in one.tensors:
        a, b = one.ours(name), other.ours(name)
        pairs = zip(chunks(a), chunks(b), strict=False)
        if a.dtype != b.dtype or a.shape != b.shape or any(x.tobytes() != y.tobytes() for x, y in pairs):
            raise FamilyError(f"'{name}' differs between {one.directory} and {other.directory}")
