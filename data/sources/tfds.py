"""Datasets of TensorFlow Datasets, by name or from a directory that one was built in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from etils import epath

from data.identity import LOCATION, fingerprint
from data.sources import files
from data.sources.base import Record, Shard, Source
from data.sources.columns import Columns


@dataclass(frozen=True)
class Tfds(Source):
    """One split of a TFDS dataset, in the order it is stored in; a file of it is a shard.

    Features beside the text become the document's `meta` where they are plain values.

    Attributes:
      name: what `tfds.load` takes ("c4/en"), or a directory with a `dataset_info.json`.
      split: a split or a slice of one ("train[:1%]").
      data_dir: where datasets lie or are downloaded to; None is TFDS's own default.
      text_field: the feature that holds the text.
      licence, language: what is known of all documents; an unknown licence is taken from the
        dataset's own description where it gives one.
    """

    name: str
    split: str = "train"
    data_dir: str | None = field(default=None, metadata=LOCATION)
    text_field: str = "text"
    licence: str = "unknown"
    language: str = "unknown"

    def shards(self) -> tuple[Shard, ...]:
        parts = self._parts(self._prepared())
        return tuple(
            Shard(f"{self.split}-{number:05d}", (epath.Path(part.filename).name,)) for number, part in enumerate(parts)
        )

    def read(self, shard: Shard) -> Iterator[Record]:
        builder = self._prepared()
        part = self._parts(builder)[int(shard.name.rpartition("-")[2])]
        file = epath.Path(part.filename)
        return files.guarded(file, self._read(builder, file, part.skip, part.take))

    def _read(self, builder: Any, file: epath.Path, skip: int, take: int) -> Iterator[Record]:
        from data.tensorflow_cpu import tfds

        split, before = _place(builder, file.name)
        first = before + skip
        wanted = tfds.core.ReadInstruction(split, from_=first, to=first + take, unit="abs")
        # One file alone, in the order that it is stored in, and not kept in memory for a second time.
        reading = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=True, try_autocache=False)
        plain = {name: True for name, feature in builder.info.features.items() if feature.shape == ()}
        # What is no plain value is no metadata: an image is not even decoded.
        decoding = tfds.decode.PartialDecoding(plain)
        examples = builder.as_dataset(wanted, shuffle_files=False, read_config=reading, decoders=decoding)
        licence = self.licence
        if licence == "unknown" and builder.info.redistribution_info:
            licence = builder.info.redistribution_info.license or "unknown"
        columns = Columns(
            text=self.text_field,
            id="tfds_id",
            licence=None,
            language=None,
            source=f"{builder.info.full_name}:{self.split}",
            every_licence=licence,
            every_language=self.language,
        )
        for example in examples.as_numpy_iterator():
            name = example["tfds_id"].decode()
            yield columns.document(example, name, f"example {name} of {self.name}")

    def fingerprint(self) -> str:
        if directory := self._directory():
            # Its description has the counts and hashes of its shards; no need of TensorFlow.
            described = {path.name: path for path in sorted(directory.glob("*.json"))}
            return fingerprint([files.fingerprint(described), self.split])
        return fingerprint([self._builder().info.full_name, self.split])

    def _directory(self) -> epath.Path | None:
        directory = epath.Path(self.name)
        if (directory / "dataset_info.json").exists():
            return directory
        if directory.is_absolute() or "://" in self.name:
            raise FileNotFoundError(
                f"{self.name} holds no TFDS dataset: it has no dataset_info.json; give the"
                " directory of one version, such as c4/en/3.0.1"
            )
        return None

    def _prepared(self) -> Any:
        builder = self._builder()
        if not self._directory():
            builder.download_and_prepare()
        self._check(builder)
        return builder

    def _parts(self, builder: Any) -> list[Any]:
        """The files of the split, each with how many examples of it to skip and to take."""
        return builder.info.splits[self.split].file_instructions

    def _builder(self) -> Any:
        from data.tensorflow_cpu import tfds

        try:
            if directory := self._directory():
                return tfds.builder_from_directory(directory)
            return tfds.builder(self.name, data_dir=self.data_dir)
        except tfds.core.DatasetNotFoundError:
            raise FileNotFoundError(
                f"TFDS has no dataset {self.name!r}{f' in {self.data_dir}' * bool(self.data_dir)};"
                " give a name that tfds.load takes or a dataset's directory"
            ) from None

    def _check(self, builder: Any) -> None:
        features = list(builder.info.features)
        if self.text_field not in features:
            raise ValueError(
                f"{self.name} has no feature {self.text_field!r}; it has {', '.join(features)}"
            )
        base = self.split.split("[")[0]
        if "+" not in self.split and base not in [*builder.info.splits, "all"]:
            raise ValueError(
                f"{self.name} has no split {base!r}; it has {', '.join(builder.info.splits)}"
            )


def _place(builder: Any, file: str) -> tuple[str, int]:
    """The split that a file is of, and the number of the split's examples in the files before it."""
    for name, split in builder.info.splits.items():
        if file in split.filenames:
            # TFDS numbers the files of a split in the order of their names.
            return name, sum(split.shard_lengths[: sorted(split.filenames).index(file)])
    raise ValueError(f"{file} is in no split of {builder.info.full_name}")
