"""Groups from what is known of documents, and their way into a store."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.document import Document
from data.group_by import MOST, ByLanguage, ByLicence, ByMeta, BySource, GroupBy
from data.identity import differences
from data.joined_store import JoinedStore
from data.prepared import Prepared
from data.recipe import Recipe
from data.sources import JsonLines
from data.split import HashSplit
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.tokenization.corpus import Tokenization
from data.tokenizers import Bytes


@pytest.mark.parametrize(
    ("by", "name"),
    [
        (BySource(), "web"), (ByLanguage(), "de"), (ByLicence(), "unknown"), (ByMeta("year"), "1999"),
        (ByMeta("empty"), "unknown"), (ByMeta("absent"), "unknown"), (ByMeta("flag"), "False"),
    ],
)  # fmt: skip
def test_the_group_of_a_document(by: GroupBy, name: str) -> None:
    meta = {"year": 1999, "empty": "", "flag": False}
    assert by.of(Document("text", "1", "web", language="de", meta=meta)) == name


def test_what_cannot_name_a_group() -> None:
    document = Document("text", "d1", "web", meta={"list": [1], "long": "a" * 101})
    with pytest.raises(ValueError, match=r"document 'd1' has \[1\] for ByMeta\(key='list'\), but a group is named by"):
        ByMeta("list").of(document)
    with pytest.raises(ValueError, match="has a text of 101 characters for ByMeta"):
        ByMeta("long").of(document)
    with pytest.raises(ValueError, match=r"ByMeta\.key is empty"):
        ByMeta("")


def write(directory: Path, groups: list[str] | None) -> TokenStore:
    with TokenStoreWriter(
        directory, vocab_size=9, tokenizer="", separator=0, shard_tokens=6, grouped_by="" if groups is None else "G"
    ) as writer:
        for number in range(9 if groups is None else len(groups)):
            writer.append(np.array([1, 2]), 2, None if groups is None else groups[number])
    return TokenStore(directory)


def test_a_store_keeps_groups(tmp_path: Path) -> None:
    groups = ["b", "a", "b", "c", "c", "a", "d"]
    store = write(tmp_path / "one", groups)
    names, numbers = store.document_groups()
    assert names == ("a", "b", "c", "d") and [names[i] for i in numbers] == groups
    assert len(store.index.shards) == 4 and store.index.shards[1].groups == ("b", "c")
    joined = JoinedStore([store, write(tmp_path / "two", ["z", "b"])])
    names, numbers = joined.document_groups()
    assert [names[i] for i in numbers] == [*groups, "z", "b"]
    store.verify()
    (tmp_path / "one" / "shard-00001.groups").write_bytes(b"\1\0\0\0")
    with pytest.raises(ValueError, match=r"shard-00001\.groups is corrupt"):
        store.verify()
    (tmp_path / "one" / "shard-00001.groups").write_bytes(b"\7\0\0\0")
    with pytest.raises(ValueError, match="it has group 7, but index.json names 2"):
        store.document_groups()


def test_a_store_without_groups_is_as_it_was(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", None)
    index = json.loads((tmp_path / "bare" / "index.json").read_text())
    assert index["format"] == 1 and "group" not in json.dumps(index)
    assert set(index["shards"][0]) == {"tokens", "documents", "bytes", "tokens_sha256", "ends_sha256"}
    with pytest.raises(ValueError, match=r"has no groups of documents; prepare it again .* groups=BySource\(\)"):
        bare.document_groups()
    grouped = write(tmp_path / "grouped", ["a"] * 9)
    assert json.loads((tmp_path / "grouped" / "index.json").read_text())["format"] == 2
    # Plans of packing, which are kept by it, are the same for both.
    assert grouped.fingerprint() == bare.fingerprint()
    with TokenStoreWriter(tmp_path / "none", vocab_size=9, tokenizer="") as writer:
        with pytest.raises(ValueError, match="has no groups, which the documents given to it do not fit"):
            writer.append(np.array([1]), 1, "a")
        writer.append(np.array([1]), 1)


def test_too_many_groups(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"G gives more than {MOST} groups \\('0', '1', '10', ...\\); group by what"):
        write(tmp_path, [str(number) for number in range(MOST + 1)])
    assert not (tmp_path / "index.json").exists()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Three files of documents whose text begins with the name of their kind."""
    for file in range(3):
        lines = [
            json.dumps({"text": f"{kind} {file} {number}", "id": f"{file}-{number}", "kind": kind})
            for number, kind in enumerate(["one", "two", f"only {file}"] * 7)
        ]
        (tmp_path / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def check(prepared: Prepared) -> None:
    for store in (prepared.train, prepared.validation):
        names, numbers = store.document_groups()
        ends = store.document_ends().tolist()
        for begin, end, number in zip([0, *ends[:-1]], ends, numbers.tolist(), strict=True):
            text = prepared.tokenizer.decode(store.tokens(begin, end - 1))
            assert text.startswith(names[number] + " ")


@pytest.mark.parametrize("workers", [1, 2])
def test_tokenization_writes_groups(texts: Path, workers: int) -> None:
    spec = Tokenization(JsonLines(str(texts / "*.jsonl")), Bytes(), HashSplit(0.3), groups=ByMeta("kind"))
    check(spec.run(texts / "out", workers, lambda line: None))
    with pytest.raises(ValueError, match="recipe.groups"):
        Tokenization(JsonLines(str(texts / "*.jsonl")), Bytes(), HashSplit(0.3)).run(texts / "out", 1, print)


def test_a_recipe_writes_groups(texts: Path) -> None:
    parts = (JsonLines(str(texts / "*.jsonl")), (), HashSplit(0.3), Bytes())
    check(Recipe(*parts, groups=ByMeta("kind")).prepare(texts / "out", lambda line: None))
    bare, grouped = (Recipe(*parts, groups=groups).identity()["recipe"] for groups in (None, ByMeta("kind")))
    # What was prepared before there were groups is found again.
    assert "groups" not in bare and grouped["groups"] == {"type": "ByMeta", "key": "kind"}
    assert len(differences(bare, grouped)) == 1
