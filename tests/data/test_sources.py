"""Sources stream the documents that lie in their files, and name the file that is wrong."""

import gzip
import inspect
import json
import pydoc_data.topics
import shutil
import sys
import textwrap
from pathlib import Path

import pytest
import zstandard

from data.sources import JsonLines, PythonDocs, PythonNames, Source, TextFiles, Tfds


def texts(source: Source) -> list[str]:
    return [document.text for document in source.documents()]


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.txt").write_text("two\r\n", newline="")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone \xc3\xa9")
    (tmp_path / "deep" / "c.md").write_text("three")
    (tmp_path / ".hidden").write_text("not this")
    source = TextFiles(tmp_path, licence="MIT", language="en")
    found = list(source.documents())
    assert [(d.id, d.text) for d in found] == [
        ("a.txt", "one \u00e9"),
        ("b.txt", "two\r\n"),
        ("deep/c.md", "three"),
    ]
    assert {(d.source, d.licence, d.language) for d in found} == {(str(tmp_path), "MIT", "en")}
    assert texts(TextFiles(str(tmp_path / "*.txt"))) == ["one \u00e9", "two\r\n"]
    assert texts(TextFiles(tmp_path / "d*" / "?.md")) == ["three"]
    assert texts(TextFiles(tmp_path / "b.txt")) == ["two\r\n"]


def test_fingerprints_follow_the_content_not_the_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("text")
    one, two = (TextFiles(tmp_path / name) for name in ("one", "two"))
    assert one.fingerprint() == two.fingerprint()
    (tmp_path / "two" / "a.txt").write_text("TEXT")
    assert one.fingerprint() != two.fingerprint()


def test_bad_text_files(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path / "none" / "*.txt", tmp_path / "*.txt", tmp_path):
        with pytest.raises(FileNotFoundError, match="does not exist|has no files in it"):
            TextFiles(path).fingerprint()
    with pytest.raises(ValueError, match=r"has '\*\*'; give the directory"):
        TextFiles(tmp_path / "**" / "*.md").fingerprint()
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 noir")
    with pytest.raises(ValueError, match="latin.txt is not UTF-8: byte 3 is 0xe9"):
        texts(TextFiles(tmp_path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    records = [{"text": "one\n", "key": 7, "url": "u"}, {"text": "\u00e9", "key": "k"}]
    raw = "\n".join([json.dumps(records[0]), "", json.dumps(records[1])]).encode()
    if suffix == ".gz":
        raw = gzip.compress(raw[:9]) + gzip.compress(raw[9:])
    elif suffix == ".zst":
        raw = zstandard.compress(raw[:9]) + zstandard.compress(raw[9:])
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(raw)
    numbered = list(JsonLines(path).documents())
    assert [(d.id, d.text) for d in numbered] == [
        (f"{path.name}:1", "one\n"),
        (f"{path.name}:3", "\u00e9"),
    ]
    assert numbered[0].meta == {"key": 7, "url": "u"}
    named = list(JsonLines(tmp_path, id_field="key").documents())
    assert [d.id for d in named] == ["7", "k"] and named[0].meta == {"url": "u"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"bad.jsonl:2 is not JSON: .* at column"),
        (b"[1]", r"bad.jsonl:2 is a JSON list, but must be an object"),
        (b'{"body": "x"}', r"bad.jsonl:2 has nothing as its 'text', .* other names are body"),
        (b'{"text": 3}', r"bad.jsonl:2 has 3 as its 'text'"),
        (b"\xff", r"bad.jsonl:2 is not UTF-8: byte 0 is 0xff"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'{"text": "good"}\n' + line + b"\n")
    with pytest.raises(ValueError, match=message):
        texts(JsonLines(tmp_path / "bad.jsonl"))


def test_a_missing_id_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "url": 1}')
    with pytest.raises(ValueError, match=r"a.jsonl:1 has no 'key' for an id; .* are url"):
        texts(JsonLines(tmp_path / "a.jsonl", id_field="key"))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_damaged_archives_are_named(tmp_path: Path, suffix: str, pack: object) -> None:
    raw = pack("\n".join(json.dumps({"text": str(i) * 50}) for i in range(5000)).encode())
    path = tmp_path / f"a.jsonl{suffix}"
    for damaged in (raw[: len(raw) // 2], b"nothing" + raw, raw[:50] + b"\0" * 99 + raw[150:]):
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=rf"a.jsonl{suffix} is given up after \d+ records: (truncated|damaged)"
        ):
            texts(JsonLines(path))


def test_half_a_surrogate_pair_becomes_a_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a\\uD800b\\ud83d\\ude00", "key": "\\udfff"}')
    (found,) = JsonLines(tmp_path, id_field="key").documents()
    assert (found.text, found.id) == ("a?b\U0001f600", "?")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from data.tensorflow_cpu import tf, tfds

    directory = tmp_path_factory.mktemp("tfds")
    identity = tfds.core.dataset_info.DatasetIdentity(
        name="tiny", version="1.0.0", data_dir=str(directory / "tiny" / "1.0.0"), module_name=""
    )
    features = {"text": tfds.features.Text(), "label": tf.int64}
    info = tfds.core.DatasetInfo(
        builder=identity, features=tfds.features.FeaturesDict(features), license="CC0-1.0"
    )
    (directory / "tiny" / "1.0.0").mkdir(parents=True)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=3)
    writer.initialize_splits(["train"])
    writer.add_examples({"train": [{"text": f"text {i} \u00e9", "label": i} for i in range(7)]})
    writer.close_all()
    return directory


def test_tfds(dataset: Path) -> None:
    source = Tfds(str(dataset / "tiny" / "1.0.0"), language="en")
    found = list(source.documents())
    assert [d.text for d in found] == [f"text {i} \u00e9" for i in range(7)]
    assert len({d.id for d in found}) == 7
    assert {(d.source, d.licence) for d in found} == {("tiny/1.0.0:train", "CC0-1.0")}
    named = Tfds("tiny", split="train[:3]", data_dir=str(dataset), licence="MIT")
    assert [d.text for d in named.documents()] == [f"text {i} \u00e9" for i in range(3)]
    assert {d.licence for d in named.documents()} == {"MIT"}
    assert named.fingerprint() != source.fingerprint() == source.fingerprint()


def test_a_file_of_tfds_is_a_shard(dataset: Path) -> None:
    tiny = str(dataset / "tiny" / "1.0.0")
    wanted = {
        "train": [[0, 1, 2], [3, 4, 5], [6]],
        "train[1:4]": [[1, 2], [3]],
        "train[4:]+train[:1]": [[4, 5], [6], [0]],
    }
    for split, labels in wanted.items():
        source = Tfds(tiny, split=split)
        shards = source.shards()
        assert len({shard.name for shard in shards}) == len(shards) and shards[0].files[0].startswith("tiny-train")
        # The last first: a shard is read apart from the others.
        apart = [list(source.read(shard)) for shard in reversed(shards)][::-1]
        assert [[d.meta["label"] for d in found] for found in apart] == labels
        assert [d for found in apart for d in found] == list(source.documents())
    assert [dict(d.meta) for d in Tfds(tiny, split="train[:2]").documents()] == [{"label": 0}, {"label": 1}]


def test_damaged_files_of_tfds_are_bad_records(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tiny" / "1.0.0"
    shutil.copytree(dataset / "tiny" / "1.0.0", copy)
    one, two, three = sorted(copy.glob("*.tfrecord*"))
    one.write_bytes(one.read_bytes()[:-5])
    two.unlink()
    source = Tfds(str(copy))
    first, second, third = (list(source.read(shard)) for shard in source.shards())
    assert (first[-1].problem, len(first)) == ("damaged file", 3)
    assert first[-1].message.startswith(f"{one} is given up after 2 records: damaged file, ")
    assert [(r.problem, r.place) for r in second] == [("cannot be opened", str(two))]
    assert [d.text for d in third] == ["text 6 \u00e9"]


def test_bad_tfds(dataset: Path) -> None:
    tiny = str(dataset / "tiny" / "1.0.0")
    for source, kind, message in (
        (Tfds(tiny, text_field="body"), ValueError, "no feature 'body'; it has"),
        (Tfds(tiny, split="test"), ValueError, "no split 'test'; it has train"),
        (Tfds(str(dataset / "tiny")), FileNotFoundError, "it has no dataset_info.json"),
        (Tfds("huge", data_dir=str(dataset)), FileNotFoundError, "TFDS has no dataset 'huge' in"),
    ):
        with pytest.raises(kind, match=message):
            texts(source)


def test_python_docs() -> None:
    before = set(sys.modules)
    found = list(PythonDocs().documents())
    # What is read is not imported.
    assert not {"turtle", "tkinter", "antigravity", "this"} & (set(sys.modules) - before)
    ids = [document.id for document in found]
    kinds = [[i for i in ids if i.startswith(kind)] for kind in ("topics/", "library/")]
    assert len(set(ids)) == len(ids) and ids == [i for kind in kinds for i in sorted(kind)]
    assert {(d.licence, d.language) for d in found} == {("PSF-2.0", "en")}
    assert sum(len(d.text) for d in found) > 1_500_000
    by_id = {document.id: document.text for document in found}
    assert by_id["topics/lambda"] == pydoc_data.topics.topics["lambda"]
    module = by_id["library/textwrap"]
    assert module.startswith(f"textwrap\n\n{textwrap.__doc__.strip()}")
    assert f"textwrap.dedent(text)\n\n{textwrap.dedent.__doc__.strip()[:40]}" in module
    assert "textwrap.TextWrapper.wrap(self, text)" in module
    assert not [i for i in ids if i.startswith(("library/test", "library/idlelib"))]


def test_python_names() -> None:
    found = {document.id.removeprefix("names/"): document.text for document in PythonNames(characters=60).documents()}
    assert len(found) > 3000 and all(len(text.partition("\t")[0]) <= 60 for text in found.values())
    for qualified, thing in (("textwrap.dedent", textwrap.dedent), ("json.decoder.JSONDecoder", json.JSONDecoder)):
        told = " ".join(inspect.getdoc(thing).split())[:60].rstrip()
        assert found[qualified] == f"{told}\t{thing.__name__}"
    assert not [name for name in found if name.rpartition(".")[2].startswith("_")]
    assert PythonNames(60).fingerprint() != PythonNames(61).fingerprint()
