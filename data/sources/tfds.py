"""Datasets of TensorFlow Datasets, by name or from a directory that one was built in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from etils import epath

from data.document import Document
from data.identity import LOCATION, fingerprint
from data.sources import files
from data.sources.base import Record, Shard, Source


@dataclass(frozen=True)
class Tfds(Source):
    """One split of a TFDS dataset, in the order it is stored in.

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
        return (Shard(self.split),)

    def read(self, shard: Shard) -> Iterator[Record]:
        builder = self._builder()
        from data.tensorflow_cpu import tfds

        if not self._directory():
            builder.download_and_prepare()
        self._check(builder)
        # One file after another: interleaving them would make the order a setting of the reader.
        reading = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=True)
        examples = builder.as_dataset(self.split, shuffle_files=False, read_config=reading)
        licence = self.licence
        if licence == "unknown" and builder.info.redistribution_info:
            licence = builder.info.redistribution_info.license or "unknown"
        for example in examples.as_numpy_iterator():
            name = example["tfds_id"].decode()
            yield Document(
                text=files.decode(example[self.text_field], f"example {name} of {self.name}"),
                id=name,
                source=f"{builder.info.full_name}:{self.split}",
                licence=licence,
                language=self.language,
            )

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
