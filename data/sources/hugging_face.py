"""Datasets of Hugging Face's hub, of a directory in its layout, or saved by its library."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from etils import epath

from data.identity import fingerprint
from data.sources import files
from data.sources.base import BadRecord, Record, Shard, Source
from data.sources.columns import Columns

# A saved dataset has random access, so that a shard may be any run of its rows.
_ROWS = 100_000
_SAVED = ("state.json", "dataset_dict.json")


@dataclass(frozen=True)
class HuggingFaceDataset(Source):
    """One split of a dataset that the library `datasets` reads, streamed; a file of it is a shard.

    A dataset saved by `save_to_disk` is read from there, in shards of rows.

    Attributes:
      name: what `load_dataset` takes ("wikitext", a directory of files), or a directory that was saved.
      config: which of the dataset's configurations; None is its only one, or its default.
      split: the split.
      revision: a tag or commit of the hub's repository; None is the newest there.
      text_field: the column of the text.
      id_field: the column of the id; None numbers them `SHARD:ROW`, counted from 1.
      licence, language: what is known of all of them.
      licence_field, language_field: the columns of those; where a row has none, that of all holds.

    The other columns become the document's `meta` where they are plain values.
    """

    name: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    text_field: str = "text"
    id_field: str | None = None
    licence: str = "unknown"
    language: str = "unknown"
    licence_field: str | None = None
    language_field: str | None = None

    def shards(self) -> tuple[Shard, ...]:
        dataset = self._dataset()
        number = -(-dataset.num_rows // _ROWS) if self._is_saved() else dataset.num_shards
        return tuple(Shard(f"{self.split}-{i:05d}") for i in range(number))

    def read(self, shard: Shard) -> Iterator[Record]:
        dataset = self._dataset()
        index = int(shard.name.rpartition("-")[2])
        if self._is_saved():
            rows = dataset.select(range(index * _ROWS, min((index + 1) * _ROWS, dataset.num_rows)))
        else:
            rows = dataset.shard(num_shards=dataset.num_shards, index=index)
        return self._read(shard.name, iter(rows))

    def fingerprint(self) -> str:
        if epath.Path(self.name).is_dir():
            return fingerprint([files.fingerprint(files.find_files(self.name)), self.config, self.split])
        with self._explained():
            builder = _library().load_dataset_builder(self.name, self.config, revision=self.revision)
        # The hub's files are known by their names and the commit that they are of.
        described = {
            str(split): [list(map(str, found)), [list(map(str, item)) for item in found.origin_metadata]]
            for split, found in (builder.config.data_files or {}).items()
        }
        return fingerprint([builder.hash, str(builder.info.version), described, self.config, self.split])

    def _read(self, shard: str, rows: Iterator[dict[str, Any]]) -> Iterator[Record]:
        columns = Columns.of(self, ":".join(filter(None, [self.name, self.config, self.split])))
        number = 0
        while True:
            place = f"{self.name}, {shard}:{number + 1}"
            try:
                row = next(rows, None)
            except Exception as error:
                # The library reads by a dozen others, each of which raises what it likes.
                why = f"{type(error).__name__}: {error}".split("\n")[0]
                message = f"{self.name} is given up after row {number} of {shard}: {why}"
                yield BadRecord(place, "cannot be read", message)
                return
            if row is None:
                return
            number += 1
            yield columns.document(row, f"{shard}:{number}", place)

    def _is_saved(self) -> bool:
        return any((epath.Path(self.name) / marker).exists() for marker in _SAVED)

    def _dataset(self) -> Any:
        library = _library()
        if not self._is_saved():
            with self._explained():
                return library.load_dataset(
                    self.name, self.config, split=self.split, revision=self.revision, streaming=True
                )
        with self._explained():
            saved = library.load_from_disk(self.name)
        if isinstance(saved, dict):
            if self.split not in saved:
                raise ValueError(f"{self.name} has no split {self.split!r}; it has {', '.join(saved)}")
            return saved[self.split]
        own = str(saved.split) if saved.split else self.split
        if own != self.split:
            raise ValueError(f"{self.name} has no split {self.split!r}; it has {own}")
        return saved

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Names the dataset in what the library says of one that it cannot load."""
        try:
            yield
        except (OSError, ValueError) as error:
            kinds = (FileNotFoundError, OSError, ValueError)
            kind = next(kind for kind in kinds if isinstance(error, kind))
            why = str(error).split("\n")[0]
            raise kind(f"the dataset {self.name!r} cannot be loaded: {why}") from error


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise ModuleNotFoundError(
            "HuggingFaceDataset needs the library datasets, which is not installed; pip install datasets"
        ) from None
    datasets.disable_progress_bars()
    return datasets
