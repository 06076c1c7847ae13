"""Counts of the report against counts by hand; shards on their own against the whole in one stream."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.card import card_html, card_markdown
from data.curation import Refuse, Skip
from data.curation.curation import Curation
from data.curation.engine import curate
from data.document import Document
from data.prepared import ExistingStore, Prepared, prepare
from data.sources import CuratedDocuments, JsonLines
from data.split import HashSplit, Split, TailSplit
from data.tokenization.corpus import Tokenization
from data.tokenization.report import make_report
from data.tokenization.tally import COUNTS, OTHERS, Tally, count_words
from data.tokenizers import Bytes, ByteTokenizer, HuggingFace, SavedTokenizer, SentencePiece, tokenizer_at

TEXTS = [topics[name][:900] for name in sorted(topics)[:24]]


def quiet(line: str) -> None:
    """Says nothing."""


def tally_of(documents: list[Document], tokenizer: ByteTokenizer, limit: int | None = None) -> Tally:
    tally = Tally(tokenizer.vocab_size)
    encoded = tokenizer.encode_batch([d.text for d in documents])
    fallback = tokenizer.fallback()
    sizes = [len(d.text.encode()) for d in documents]
    tally.add(documents, encoded, sizes, fallback if fallback.any() else None)
    return tally


@given(st.text(st.sampled_from("ab \t\n\x1c\x0b\u00a0\u3000\u00e9"), max_size=30))
def test_words_are_what_split_gives(text: str) -> None:
    assert count_words(text) == len(text.split())


def test_figures_by_language_and_domain_are_those_by_hand() -> None:
    documents = [
        Document("one two three", "1", "s", language="en", meta={"domain": "d"}),
        Document("four\u00e9", "2", "s", language="en-GB"),
        Document("\u65e5\u672c\u8a9e\u3002", "3", "s", language="ja-JP", meta={"domain": "d"}),
    ]
    report = make_report(Bytes().train([]), tally_of(documents, Bytes().train([])))
    by_language = {row["name"]: row for row in report["languages"]["largest"]}
    by_domain = {row["name"]: row for row in report["domains"]["largest"]}
    assert by_language["en"]["tokens_per_word"] == 13 / 3 and by_language["en"]["tokens_per_character"] is None
    assert by_language["en-GB"]["tokens_per_word"] == 6
    assert by_language["ja-JP"]["tokens_per_character"] == 3 and by_language["ja-JP"]["tokens_per_word"] is None
    # A domain of both kinds of language tells them apart.
    assert by_domain["d"]["tokens_per_word"] == 13 / 3 and by_domain["d"]["tokens_per_character"] == 3
    assert by_domain["s"]["documents"] == 1 and by_domain["s"]["tokens"] == 6
    assert report["all"]["bytes_per_token"] == 1 and report["all"]["tokens"] == 13 + 6 + 12


def test_pieces_are_counted_as_they_occur() -> None:
    tokenizer = SentencePiece(vocab=500, special=("<mask>",)).train(TEXTS)
    documents = [Document(text, str(i), "s") for i, text in enumerate([*TEXTS[:5], "\u65e5 caf\u00e9"])]
    report = make_report(tokenizer, tally_of(documents, tokenizer))
    ids = np.concatenate([tokenizer.encode(d.text) for d in documents]).tolist()
    names = [tokenizer.piece(i) for i in range(500)]
    is_byte = [name.startswith("<0x") for name in names]
    assert report["all"]["fallback_share"] == sum(is_byte[i] for i in ids) / len(ids) > 0
    learned = [i for i in range(500) if not is_byte[i] and names[i] not in ("<unk>", "</s>", "<mask>")]
    unused = [names[i] for i in learned if i not in ids]
    assert report["pieces"] == len(learned)
    assert report["unused"] == {"count": len(unused), "first": unused[:20]} and unused
    assert len(report["longest"][0]) == max(len(names[i]) for i in learned)


def test_the_round_trip_shows_what_changes() -> None:
    class Lower(ByteTokenizer):
        def encode(self, text: str) -> np.ndarray:
            return super().encode(text.lower())

    tally = Tally(257)
    for number, text in enumerate(["small", "x" * 100 + "Tall", "small again"]):
        tally.try_round_trip(Lower(), Document(text, str(number), "s"))
    trip = make_report(Lower(), tally)["round_trip"]
    assert (trip["texts"], trip["unchanged"]) == (3, 2)
    assert trip["first_changed"] == {"id": "1", "before": "x" * 40 + "Tall", "after": "x" * 40 + "tall"}


def test_tallies_add_up_and_have_an_end() -> None:
    tokenizer = Bytes().train([])
    documents = [Document(f"text {i}", str(i), "s", meta={"domain": f"site-{i}"}) for i in range(1300)]
    whole, parts = tally_of(documents, tokenizer), Tally(257)
    for start in range(0, 1300, 500):
        parts.merge(json.loads(json.dumps(tally_of(documents[start : start + 500], tokenizer).to_json())))
    assert parts.to_json() == whole.to_json()
    assert len(whole.domains) == 1001 and whole.domains[OTHERS][COUNTS.index("documents")] == 300
    assert whole.totals()["documents"] == 1300


@given(
    lengths=st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5), fraction=st.sampled_from([0.1, 0.5, 0.9])
)
def test_shards_are_split_as_the_whole_is(lengths: list[list[int]], fraction: float) -> None:
    shards = [[Document("abcdefghi"[:n], f"{i}.{j}", "s") for j, n in enumerate(s)] for i, s in enumerate(lengths)]
    characters = [sum(len(d.text) for d in shard) for shard in shards]
    for split in (TailSplit(fraction), HashSplit(fraction)):
        whole = list(split.divide([d for shard in shards for d in shard], sum(characters)))
        apart = [
            pair
            for i, shard in enumerate(shards)
            for pair in split.divide(shard, sum(characters), sum(characters[:i]))
        ]
        assert apart == whole


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "docs"
    directory.mkdir()
    for shard in range(3):
        records = [{"text": text, "id": f"{shard}.{i}", "language": "en"} for i, text in enumerate(TEXTS[shard::3])]
        (directory / f"{shard}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return directory


def decoded(prepared: Prepared) -> dict[str, list[str]]:
    found = {}
    for part in ("train", "validation"):
        store = getattr(prepared, part)
        ends = store.document_ends()
        tokens = store.tokens(0, len(store))
        assert (tokens[ends - 1] == store.separator).all()
        found[part] = [prepared.tokenizer.decode(t) for t in np.split(tokens, ends[:-1])]
    return found


@pytest.mark.parametrize("split", [HashSplit(0.3), TailSplit(0.3)])
def test_what_is_made_opens_and_holds_the_text(tmp_path: Path, files: Path, split: Split) -> None:
    tokenization = Tokenization(CuratedDocuments(files), SentencePiece(400), split)
    made = tokenization.run(tmp_path / "out", 1, quiet)
    texts = [text for shard in range(3) for text in TEXTS[shard::3]]
    found = decoded(prepare(ExistingStore(tmp_path / "out"), tmp_path / "unused", quiet))
    if isinstance(split, TailSplit):
        whole = "".join(texts)
        cut = int(0.7 * len(whole))
        assert ("".join(found["train"]), "".join(found["validation"])) == (whole[:cut], whole[cut:])
    else:
        assert sorted(found["train"] + found["validation"]) == sorted(texts)
        assert 0 < len(found["validation"]) < len(found["train"])
    assert made.train.bytes + made.validation.bytes == sum(len(text.encode()) for text in texts)
    report = json.loads((tmp_path / "out" / "tokenizer_report.json").read_text())
    assert report["all"]["documents"] == made.train.documents + made.validation.documents
    assert math.isclose(
        report["all"]["bytes_per_token"] * (len(made.train) + len(made.validation) - report["all"]["documents"]),
        made.train.bytes + made.validation.bytes,
    )
    assert report["round_trip"]["unchanged"] == report["round_trip"]["texts"] > 10
    for page in (card_html(made.card), card_markdown(made.card)):
        assert "Tokenizer" in page and "Rust et al., 2021" in page
    assert not (tmp_path / "out" / ".tokenizing").exists()


def test_a_tokenizer_is_trained_on_a_sample_of_what_is_not_held_out(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Bytes, "train", lambda self, texts: (seen.extend(texts), ByteTokenizer())[1])
    made = Tokenization(CuratedDocuments(files), Bytes(), HashSplit(0.3)).run(tmp_path / "all", 1, quiet)
    train = decoded(made)["train"]
    assert sorted(seen) == sorted(train)
    seen.clear()
    Tokenization(CuratedDocuments(files), Bytes(), HashSplit(0.3), sample=0.5).run(tmp_path / "some", 1, quiet)
    assert 3 < len(seen) < len(train) - 3 and set(seen) < set(train)
    with pytest.raises(ValueError, match="the sample to train on is 0.0, but must be above 0"):
        Tokenization(CuratedDocuments(files), sample=0.0)


def test_a_curated_corpus_brings_its_account_along(tmp_path: Path, files: Path) -> None:
    corpus = curate(Curation(JsonLines(str(files), licence="MIT")), tmp_path / "corpus", log=quiet)
    source = CuratedDocuments(tmp_path / "corpus")
    made = Tokenization(source, Bytes(), HashSplit(0.3)).run(tmp_path / "out", 1, quiet)
    assert made.card["curation"] == corpus.report and len(made.card["shards"]) == 3
    assert made.card["source"] == source.fingerprint()


def test_a_tokenizer_can_come_from_elsewhere(tmp_path: Path, files: Path) -> None:
    first = Tokenization(CuratedDocuments(files), SentencePiece(400), HashSplit(0.3)).run(tmp_path / "1", 1, quiet)
    place = tmp_path / "1" / "tokenizer"
    assert tokenizer_at(place) == tokenizer_at(place / "tokenizer.json") == SavedTokenizer(str(place))
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "tokenizer.json").write_text('{"model": {}}')
    assert tokenizer_at(tmp_path / "hf") == HuggingFace(str(tmp_path / "hf" / "tokenizer.json"))
    second = Tokenization(CuratedDocuments(files), tokenizer_at(place), HashSplit(0.3))
    made = second.run(tmp_path / "2", 1, quiet)
    assert made.train.fingerprint() == first.train.fingerprint() and made.tokenizer.hash == first.tokenizer.hash
    # It is known by what it is and not by where it lies.
    (tmp_path / "1").rename(tmp_path / "3")
    moved = Tokenization(CuratedDocuments(files), tokenizer_at(tmp_path / "3" / "tokenizer"), HashSplit(0.3))
    assert moved.run(tmp_path / "2", 1, quiet).train.fingerprint() == made.train.fingerprint()
    with pytest.raises(FileNotFoundError, match=r"none does not exist; give a tokenizer.json .* such as SentencePiece"):
        tokenizer_at(tmp_path / "none")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"x.json is no tokenizer.json"):
        tokenizer_at(tmp_path / "x.json")


def test_another_corpus_is_not_gone_on_with(tmp_path: Path, files: Path) -> None:
    source = CuratedDocuments(files)
    begun = tmp_path / "begun"
    (files / "3.jsonl").write_text('{"text": "more"}\n{"text": 3}')
    with pytest.raises(ValueError, match=r"3.jsonl:2 has 3 as its 'text'"):
        Tokenization(source, Bytes(), HashSplit(0.3)).run(begun, 1, quiet)
    assert len(list((begun / ".tokenizing").glob("shard-*.json"))) == 3
    with pytest.raises(ValueError, match=r"begun from another recipe: recipe.split.fraction is 0.3 there, 0.2 here"):
        Tokenization(source, Bytes(), HashSplit(0.2)).run(begun, 1, quiet)
    (files / "3.jsonl").write_text('{"text": "more"}')
    with pytest.raises(ValueError, match="begun from other text: the documents have changed"):
        Tokenization(source, Bytes(), HashSplit(0.3)).run(begun, 1, quiet)
    made = Tokenization(source, Bytes(), HashSplit(0.3))
    made.run(tmp_path / "made", 1, quiet)
    with pytest.raises(ValueError, match=r"made from another recipe: recipe.tokenizer is Bytes\(special=\(\)\) there"):
        Tokenization(source, SentencePiece(400), HashSplit(0.3)).run(tmp_path / "made", 1, quiet)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"full holds thesis.txt but no tokenized corpus"):
        made.run(tmp_path / "full", 1, quiet)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda mark: mark.update(tokenizer="0" * 64), "is of another shard or tokenizer"),
        (lambda mark: mark["train"].pop("tokens"), "is unreadable: TypeError"),
    ],
)
def test_marks_that_do_not_fit_are_done_again(
    tmp_path: Path, files: Path, damage: Callable[[dict], None], message: str
) -> None:
    (files / "3.jsonl").write_text("{")
    tokenization = Tokenization(CuratedDocuments(files), Bytes(), HashSplit(0.3), Skip(0.0))
    with pytest.raises(ValueError, match="1 of 25 records cannot be read, more than the share of 0"):
        tokenization.run(tmp_path / "out", 1, quiet)
    path = tmp_path / "out" / ".tokenizing" / "shard-00001.json"
    mark = json.loads(path.read_text())
    damage(mark)
    path.write_text(json.dumps(mark))
    (tmp_path / "out" / "validation" / "shard-00002.ends").unlink()
    lines: list[str] = []
    with pytest.raises(ValueError, match="1 of 25 records cannot be read"):
        tokenization.run(tmp_path / "out", 1, lines.append)
    assert message in lines[0] and "shard-00002.ends is missing; it is tokenized again" in lines[1]
    assert "2 of 4 shards are done" in lines[2]


def test_bad_records_are_left_out_if_they_may_be(tmp_path: Path, files: Path) -> None:
    (files / "3.jsonl").write_text('{"text": "good"}\n{bad\n\xff')
    lines: list[str] = []
    source = CuratedDocuments(files)
    made = Tokenization(source, SentencePiece(400), TailSplit(0.3), Skip(0.2)).run(tmp_path / "s", 1, lines.append)
    assert any("2 records cannot be read and are left out; the first: " in line for line in lines)
    assert made.card["curation"]["bad"] == {"not JSON": 2} and "good" in decoded(made)["validation"][-1]
    with pytest.raises(ValueError, match=r"3.jsonl:2 is not JSON"):
        Tokenization(source, Bytes(), HashSplit(0.3), Refuse()).run(tmp_path / "r", 1, quiet)


def test_nothing_left_for_a_part_is_an_error(tmp_path: Path, files: Path) -> None:
    with pytest.raises(ValueError, match=r"HashSplit\(fraction=1e-09\) left nothing for validation of 24 training"):
        Tokenization(CuratedDocuments(files), Bytes(), HashSplit(1e-9)).run(tmp_path / "out", 1, quiet)


def test_tokens_of_another_tokenizer_are_refused(tmp_path: Path, files: Path) -> None:
    made = Tokenization(CuratedDocuments(files), Bytes(), HashSplit(0.3)).run(tmp_path / "out", 1, quiet)
    Bytes(special=("<mask>",)).train([]).save(tmp_path / "out" / "tokenizer")
    with pytest.raises(ValueError, match=r"train was written by the tokenizer .* but .*tokenizer is"):
        Tokenization(CuratedDocuments(files), Bytes(), HashSplit(0.3)).run(made.directory, 1, quiet)


def test_flipped_bits_are_found_on_opening(tmp_path: Path, files: Path) -> None:
    made = Tokenization(CuratedDocuments(files), Bytes(), HashSplit(0.3)).run(tmp_path / "out", 1, quiet)
    shard = tmp_path / "out" / "train" / "shard-00001.tokens"
    raw = bytearray(shard.read_bytes())
    raw[7] ^= 16
    shard.write_bytes(raw)
    with pytest.raises(ValueError, match=r"shard-00001.tokens is corrupt: its sha256"):
        Prepared.open(made.directory)
