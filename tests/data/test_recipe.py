"""A corpus is prepared once, whole, and from what the recipe says."""

import json
import multiprocessing
from pathlib import Path

import pytest

from data.archive import read_documents
from data.card import card_html
from data.curation import Clean, ExactDeduplicate, MinLength
from data.prepared import ExistingStore, Prepared, prepare
from data.recipe import Recipe
from data.sources import JsonLines, TextFiles
from data.split import HashSplit, TailSplit
from data.tokenizers import Bytes, Characters, Tokenizer, TokenizerSpec
from data.tokenizers import byte as byte_module

EVIL = "<script>alert('x')</script> & short"


@pytest.fixture
def source(tmp_path: Path) -> JsonLines:
    records = [{"text": f"Document {i}: caf\u00e9.\r\n" + "words " * i} for i in range(40)]
    records += [{"text": records[3]["text"]}, {"text": EVIL}]
    path = tmp_path / "source.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return JsonLines(path, licence="CC0-1.0", language="en")


def recipe(source: JsonLines, **changes: object) -> Recipe:
    fields = {
        "source": source,
        "transforms": (Clean(), ExactDeduplicate(), MinLength(60)),
        "split": HashSplit(0.2),
        "tokenizer": Bytes(),
    }
    return Recipe(**fields | changes)


def test_the_stores_hold_the_curated_text(tmp_path: Path, source: JsonLines) -> None:
    lines: list[str] = []
    made = prepare(recipe(source), tmp_path / "out", lines.append)
    kept = [f"Document {i}: caf\u00e9.\n" + "words " * i for i in range(40)]
    kept = [text.strip() for text in kept if len(text.strip()) >= 60]
    found = []
    for store in (made.train, made.validation):
        tokens = store.tokens(0, len(store))
        ends = store.document_ends()
        starts = [0, *ends[:-1]]
        pieces = [tokens[a : b - 1] for a, b in zip(starts, ends, strict=True)]
        assert all(tokens[end - 1] == 256 for end in ends)
        decoded = [made.tokenizer.decode(piece) for piece in pieces]
        assert store.bytes == sum(len(text.encode()) for text in decoded) == (tokens < 256).sum()
        found += decoded
        store.verify()
    assert sorted(found) == sorted(kept)
    assert [d.text for d in read_documents(made.directory / "documents.jsonl.zst")] == kept
    stages = ["collected 42 documents", "curated to", "made Bytes tokenizer", "tokenized", "ready"]
    assert len(lines) == 5
    for line, stage in zip(lines, stages, strict=True):
        assert line.startswith(f"data: {stage}")


def test_a_second_call_finds_it_finished(
    tmp_path: Path, source: JsonLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(recipe(source), tmp_path / "out", lambda line: None)
    monkeypatch.setattr(JsonLines, "documents", None)
    # The same text elsewhere is the same data.
    moved = tmp_path / "elsewhere" / source.path.name
    moved.parent.mkdir()
    moved.write_bytes(source.path.read_bytes())
    again = recipe(JsonLines(moved, licence="CC0-1.0", language="en"))
    lines: list[str] = []
    second = prepare(again, tmp_path / "out", lines.append)
    assert len(lines) == 1 and "found" in lines[0]
    assert second.train.fingerprint() == first.train.fingerprint()
    assert second.card == first.card
    assert again.fingerprint() == recipe(source).fingerprint()
    existing = ExistingStore(tmp_path / "out")
    assert existing.fingerprint() == again.fingerprint()
    opened = existing.prepare(tmp_path / "unused", lines.append)
    assert opened.validation.fingerprint() == first.validation.fingerprint()
    assert not (tmp_path / "unused").exists()


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path, source: JsonLines) -> None:
    one, two = (prepare(recipe(source), tmp_path / n, lambda line: None) for n in "ab")
    files = sorted(
        p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()
    )
    assert len(files) >= 11
    for name in files:
        assert (one.directory / name).read_bytes() == (two.directory / name).read_bytes(), name


def test_another_recipe_is_refused_by_naming_the_difference(
    tmp_path: Path, source: JsonLines
) -> None:
    prepare(recipe(source), tmp_path / "out", lambda line: None)
    for changed, message in (
        ({"split": HashSplit(0.3)}, "recipe.split.fraction is 0.2 there, 0.3 here"),
        ({"tokenizer": Characters()}, r"recipe.tokenizer is Bytes\(special=\(\)\) there, Characters\(\) here"),
        ({"transforms": (Clean(),)}, r"recipe.transforms is \(Clean\(\), .* there, \(Clean\(\)\)"),
        (
            {"transforms": (Clean(), ExactDeduplicate(), MinLength(61))},
            r"recipe.transforms\[2\].characters is 60 there, 61 here; choose another directory",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(recipe(source, **changed), tmp_path / "out")
    source.path.write_text(source.path.read_text() + '\n{"text": "more"}')
    with pytest.raises(ValueError, match="from other text: the files of JsonLines have changed"):
        prepare(recipe(source), tmp_path / "out")


def test_a_failure_leaves_nothing(
    tmp_path: Path, source: JsonLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Tokenizer, text: str) -> None:
        raise RuntimeError("lost the disk")

    monkeypatch.setattr(byte_module.ByteTokenizer, "encode", fail)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="lost the disk"):
        prepare(recipe(source), tmp_path / "out", lambda line: None)
    assert sorted(tmp_path.iterdir()) == before


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path, source: JsonLines) -> None:
    (tmp_path / "out").mkdir()
    prepare(recipe(source), tmp_path / "out", lambda line: None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="mine holds files but no prepared corpus"):
        prepare(recipe(source), tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def _prepare_quietly(spec: Recipe, directory: Path) -> str:
    return prepare(spec, directory, lambda line: None).train.fingerprint()


def test_processes_may_prepare_the_same_corpus_at_once(tmp_path: Path, source: JsonLines) -> None:
    jobs = [(recipe(source), tmp_path / "out")] * 4
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.starmap(_prepare_quietly, jobs))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source.jsonl"]


@pytest.mark.parametrize("tokenizer", [Characters(), Bytes()])
def test_one_file_split_by_its_tail(tmp_path: Path, tokenizer: TokenizerSpec) -> None:
    text = "abc " * 100 + "xyz\n"
    (tmp_path / "input.txt").write_text(text)
    spec = Recipe(TextFiles(tmp_path / "input.txt"), (), TailSplit(0.1), tokenizer)
    made = prepare(spec, tmp_path / "out", lambda line: None)
    boundary = int(0.9 * len(text))
    parts = [made.tokenizer.decode(s.tokens(0, len(s))) for s in (made.train, made.validation)]
    # A letter that only the held-out part has still has an id.
    assert parts == [text[:boundary], text[boundary:]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transforms": (MinLength(10_000),)}, r"42 documents, of which none .*MinLength 42"),
        (
            {"split": HashSplit(0.000001)},
            r"HashSplit\(fraction=1e-06\) left nothing for validation",
        ),
        ({"split": HashSplit(0.999999)}, "left nothing for train"),
    ],
)
def test_nothing_left_is_an_error(
    tmp_path: Path, source: JsonLines, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(recipe(source, **changes), tmp_path / "out", lambda line: None)
    assert not (tmp_path / "out").exists()


def test_what_is_not_prepared_is_named(tmp_path: Path, source: JsonLines) -> None:
    with pytest.raises(FileNotFoundError, match="none holds no prepared corpus"):
        ExistingStore(tmp_path / "none").prepare(tmp_path)
    made = prepare(recipe(source), tmp_path / "out", lambda line: None)
    Characters().train(["ab"]).save(made.directory / "tokenizer")
    with pytest.raises(ValueError, match="train was written by the tokenizer"):
        Prepared.open(made.directory)
    (made.directory / "prepared.json").write_text("{}")
    with pytest.raises(ValueError, match="prepared.json was not written by this version"):
        Prepared.open(made.directory)


def test_the_card_counts_and_escapes(tmp_path: Path, source: JsonLines) -> None:
    made = prepare(recipe(source), tmp_path / "out", lambda line: None)
    card = json.loads((made.directory / "data_card.json").read_text())
    assert card == made.card
    collected, kept = card["collected"][0], card["kept"][0]
    raw = [json.loads(line)["text"] for line in source.path.read_text().splitlines()]
    assert (collected["documents"], collected["bytes"]) == (42, sum(len(t.encode()) for t in raw))
    assert (collected["licence"], collected["language"]) == ("CC0-1.0", "en")
    clean, duplicates, short = card["curation"]["transforms"]
    assert (clean["seen"], clean["changed"], clean["dropped"]) == (42, 41, 0)
    assert (duplicates["seen"], duplicates["dropped"]) == (42, 1)
    assert short["dropped"] == 41 - kept["documents"]
    for name, store in (("train", made.train), ("validation", made.validation)):
        split = card["splits"][name]
        assert (split["tokens"], split["bytes"]) == (len(store), store.bytes)
        assert split["bytes_per_token"] == store.bytes / len(store)
    assert card["splits"]["train"]["bytes"] + card["splits"]["validation"]["bytes"] == kept["bytes"]
    page = (made.directory / "data_card.html").read_text()
    card["curation"]["transforms"][2]["samples"][0]["excerpt"] = EVIL
    for text in (page, card_html(card)):
        assert "<script" not in text and "http" not in text
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; short" in card_html(card)
    for shown in ("CC0-1.0", "duplicate document", "MinLength(characters=60)", "HashSplit"):
        assert shown in page
