"""Datasets read by Hugging Face's library; most of it needs that library, which is no part of the core."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.sources import BadRecord, HuggingFaceDataset, Source, hugging_face
from data.spec import build, describe

installed = importlib.util.find_spec("datasets") is not None
needed = pytest.mark.skipif(not installed, reason="datasets is not installed; pip install datasets")
ROWS = [{"text": f"text {i}", "label": i, "image": b"\xff", "lang": "fr" if i else None} for i in range(5)]


def records(source: Source) -> list:
    return [record for shard in source.shards() for record in source.read(shard)]


class Stream:
    """What the source uses of the library's stream of a dataset."""

    num_shards = 2

    def __init__(self, rows: list) -> None:
        self._rows = rows

    def shard(self, num_shards: int, index: int) -> "Stream":
        assert num_shards == self.num_shards
        return Stream(self._rows[index * 3 : index * 3 + 3])

    def __iter__(self):
        for row in self._rows:
            if row is None:
                raise RuntimeError("JSON parse error\nin a long message")
            yield row


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> list:
    """A library that has one dataset, of these rows, and says what it was asked for."""
    rows, asked = list(ROWS), []

    def load_dataset(name: str, config: str | None, **options) -> Stream:
        asked.append((name, config, options))
        if name == "missing":
            raise FileNotFoundError("no such dataset\nand more")
        return Stream(rows)

    fake = SimpleNamespace(load_dataset=load_dataset, disable_progress_bars=lambda: None, rows=rows, asked=asked)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


def test_shards_are_those_of_the_stream(library: SimpleNamespace) -> None:
    source = HuggingFaceDataset("some/name", "tiny", revision="v1", language_field="lang", language="en")
    assert [shard.name for shard in source.shards()] == ["train-00000", "train-00001"]
    found = records(source)
    assert [(d.text, d.id) for d in found] == [(f"text {i}", f"train-{i // 3:05d}:{i % 3 + 1}") for i in range(5)]
    assert [d.language for d in found[:2]] == ["en", "fr"]
    assert found[4].meta == {"label": 4} and found[0].source == "some/name:tiny:train"
    assert library.asked[0] == ("some/name", "tiny", {"split": "train", "revision": "v1", "streaming": True})
    assert build(describe(source), Source) == source


def test_what_the_library_cannot_read_ends_its_shard(library: SimpleNamespace) -> None:
    library.rows[1] = None
    found = records(HuggingFaceDataset("some/name"))
    assert [isinstance(r, BadRecord) for r in found] == [False, True, False, False]
    assert found[1].problem == "cannot be read"
    assert found[1].message == "some/name is given up after row 1 of train-00000: RuntimeError: JSON parse error"
    with pytest.raises(FileNotFoundError, match="^the dataset 'missing' cannot be loaded: no such dataset$"):
        HuggingFaceDataset("missing").shards()


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match="needs the library datasets, which is not installed; pip install"):
        HuggingFaceDataset("some/name").shards()


@needed
def test_a_folder_of_files_by_the_library(tmp_path: Path) -> None:
    for number in range(3):
        lines = [json.dumps({"text": f"text {number} {i}", "label": i}) for i in range(4)]
        (tmp_path / f"part-{number}.jsonl").write_text("\n".join(lines))
    source = HuggingFaceDataset(str(tmp_path))
    assert len(source.shards()) == 3
    assert [d.text for d in records(source)] == [f"text {n} {i}" for n in range(3) for i in range(4)]
    before = source.fingerprint()
    assert before == HuggingFaceDataset(str(tmp_path)).fingerprint()
    (tmp_path / "part-1.jsonl").write_text('{"text": "other", "label": 1}\n{"text": ')
    assert source.fingerprint() != before
    assert [type(r).__name__ for r in records(source)].count("BadRecord") == 1
    with pytest.raises(ValueError, match="cannot be loaded: Bad split: nope. Available splits"):
        HuggingFaceDataset(str(tmp_path), split="nope").shards()
    with pytest.raises(FileNotFoundError, match="cannot be loaded: Couldn't find"):
        HuggingFaceDataset(str(tmp_path / "none")).shards()


@needed
def test_a_saved_dataset_by_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(hugging_face, "_ROWS", 2)
    one = datasets.Dataset.from_dict({"text": list("abcde"), "key": list(range(5))})
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": one, "test": one.select([4])}).save_to_disk(tmp_path / "both")
    for name in ("one", "both"):
        source = HuggingFaceDataset(str(tmp_path / name), id_field="key")
        assert [shard.name for shard in source.shards()] == [f"train-{i:05d}" for i in range(3)]
        assert [(d.text, d.id) for d in records(source)] == [(text, str(i)) for i, text in enumerate("abcde")]
    assert [d.text for d in records(HuggingFaceDataset(str(tmp_path / "both"), split="test"))] == ["e"]
    with pytest.raises(ValueError, match="has no split 'dev'; it has train, test"):
        HuggingFaceDataset(str(tmp_path / "both"), split="dev").shards()
