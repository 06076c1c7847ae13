"""A published tokenizer.json gives the ids that its library gives, and special tokens only to those who ask."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from data.tokenizers import HuggingFace, HuggingFaceTokenizer, load_tokenizer, sentinels

TEXTS = [topics[name][:3000] for name in sorted(topics)[:20]]
KINDS = ("bpe", "unigram", "wordpiece")


def library(kind: str) -> tokenizers.Tokenizer:
    """A small tokenizer of each kind, as GPT-2's, T5's and BERT's are set up."""
    quiet = {"show_progress": False, "vocab_size": 700}
    if kind == "bpe":
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            special_tokens=["<|endoftext|>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **quiet
        )
    elif kind == "unigram":
        made = tokenizers.Tokenizer(models.Unigram(byte_fallback=True))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", **quiet)
    else:
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer, made.decoder = pre_tokenizers.WhitespaceSplit(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], **quiet)
    made.train_from_iterator(TEXTS, trainer)
    made.add_tokens(["indented block"])
    end = {"bpe": "<|endoftext|>", "unigram": "</s>", "wordpiece": "[SEP]"}[kind]
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, made.token_to_id(end))]
    )
    made.enable_truncation(50)
    made.enable_padding(length=60)
    return made


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> tuple[tokenizers.Tokenizer, HuggingFaceTokenizer]:
    bare = library(request.param)
    content = bare.to_str().encode()
    bare.no_truncation()
    bare.no_padding()
    end = {"bpe": "<|endoftext|>", "unigram": "</s>", "wordpiece": "[SEP]"}[request.param]
    return bare, HuggingFaceTokenizer(content, end)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Writes the byte-level tokenizer.json after a change to it."""

    def write(change: Callable[[dict[str, Any]], None] = lambda record: None, kind: str = "bpe") -> Path:
        record = json.loads(library(kind).to_str())
        change(record)
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(record))
        return path

    return write


def test_ids_are_the_librarys(pair: tuple[tokenizers.Tokenizer, HuggingFaceTokenizer]) -> None:
    bare, ours = pair
    expected = [encoding.ids for encoding in bare.encode_batch(TEXTS, add_special_tokens=False)]
    assert max(map(len, expected)) > 60
    for threads in (None, 1):
        found = ours.encode_batch(TEXTS, threads=threads)
        assert [ids.tolist() for ids in found] == expected and found[0].dtype == np.int32
    for ids in expected:
        assert ours.decode(ids) == bare.decode(ids, skip_special_tokens=False)
    assert ours.vocab_size == bare.get_vocab_size() == max(bare.get_vocab().values()) + 1
    assert bare.token_to_id("indented block") in ours.encode("an indented block of").tolist()
    assert ours.encode_batch([]) == []


def test_the_bytes_of_bpe_lose_nothing() -> None:
    ours = HuggingFaceTokenizer(library("bpe").to_str().encode(), "<|endoftext|>")
    for text in (*TEXTS, "  two \n\n\t ", "\u2581 \u65e5\u672c \U0001f600 \x00 e\u0301"):
        assert ours.decode(ours.encode(text)) == text


def test_text_that_looks_special_is_text(pair: tuple[tokenizers.Tokenizer, HuggingFaceTokenizer]) -> None:
    bare, ours = pair
    for name, number in ours.special.items():
        assert bare.token_to_id(name) == number
        # Alone, among words and within one: as an added token, a piece or a word of the model.
        for text in (name, f"an {name} here", f"a{name}b"):
            assert not set(ours.special.values()) & set(ours.encode(text).tolist()), text
        assert ours.decode([number]) == ""
    assert "".join(ours.decode(ours.encode("<pad>")).split()) != "" and ours.separator in ours.special.values()


def test_products_of_merges_are_hidden_too(edited: Callable[..., Path]) -> None:
    def promote(record: dict[str, Any]) -> None:
        number = record["model"]["vocab"]["in"]
        record["added_tokens"].append(record["added_tokens"][0] | {"content": "in", "id": number})

    assert HuggingFace(str(edited())).train([]).encode("in").size == 1
    ours = HuggingFace(str(edited(promote))).train([])
    assert ours.encode("in").size == 2 and "in" in ours.special and ours.decode(ours.encode("in")) == "in"


def test_saved_and_loaded_is_the_same(
    pair: tuple[tokenizers.Tokenizer, HuggingFaceTokenizer], tmp_path: Path
) -> None:
    _, ours = pair
    ours.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert (loaded.hash, loaded.separator, loaded.special) == (ours.hash, ours.separator, ours.special)
    assert loaded.encode(TEXTS[0]).tolist() == ours.encode(TEXTS[0]).tolist()
    file = tmp_path / "huggingface.json"
    file.write_text(file.read_text().replace("indented block", "indented blocks"))
    with pytest.raises(ValueError, match="tokenizer.json is corrupt: the tokenizer's hash is"):
        load_tokenizer(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"huggingface.json is missing"):
        load_tokenizer(tmp_path)


def test_words_begin_where_each_kind_marks_it(pair: tuple[tokenizers.Tokenizer, HuggingFaceTokenizer]) -> None:
    bare, ours = pair
    begins, text = ours.begins_word(), "tokenizers split words, or not"
    ids = ours.encode(text)
    starts = [0, *(np.flatnonzero(begins[ids[1:]]) + 1), ids.size]
    words = ["".join(bare.id_to_token(int(i)) for i in ids[a:b]) for a, b in itertools.pairwise(starts)]
    assert [word.strip("\u0120\u2581").replace("##", "") for word in words if word != "\u2581"] == text.split()
    assert begins[list(ours.special.values())].all() and begins.shape == (ours.vocab_size,)


def test_a_mark_at_the_end_of_words_does_not_tell(edited: Callable[..., Path]) -> None:
    path = edited(lambda record: record["model"].update(end_of_word_suffix="</w>"))
    with pytest.raises(ValueError, match="marks where words end, with '</w>'"):
        HuggingFace(str(path)).train([]).begins_word()


def test_what_has_no_piece_is_known() -> None:
    ours = HuggingFaceTokenizer(library("wordpiece").to_str().encode(), "[SEP]")
    fallback = np.flatnonzero(ours.fallback()).tolist()
    assert [ours.piece(i) for i in fallback] == ["[UNK]"]
    assert set(ours.encode("\u65e5" * 5).tolist()) == set(fallback)
    assert "[UNK]" not in ours.special
    record = json.loads(library("unigram").to_str())
    record["model"]["byte_fallback"] = True
    record["model"]["vocab"] += [["<0x0A>", -9.0], ["<0xE6>", -9.0]]
    record["added_tokens"].pop()
    ours = HuggingFaceTokenizer(json.dumps(record).encode(), "</s>")
    assert [ours.piece(i) for i in np.flatnonzero(ours.fallback()).tolist()] == ["<unk>", "<0x0A>", "<0xE6>"]
    begins = ours.begins_word()
    assert begins[-2] and not begins[-1]


def test_special_tokens_can_join_the_files(edited: Callable[..., Path]) -> None:
    path = edited()
    plain = HuggingFace(str(path)).train([])
    wider = HuggingFace(str(path.parent), special=("<pad>", *sentinels(2))).train([])
    assert wider.vocab_size == plain.vocab_size + 2
    assert [wider.special[n] for n in ("<pad>", *sentinels(2))] == [1, plain.vocab_size, plain.vocab_size + 1]
    assert wider.encode("<extra_id_0>").tolist() == plain.encode("<extra_id_0>").tolist()
    assert wider.decode([plain.vocab_size, *plain.encode("a")]) == "a" and wider.hash != plain.hash
    assert HuggingFace(str(path), "</s>", ("</s>",)).train([]).separator == plain.vocab_size
    assert plain.published() == {"tokenizer.json": path.read_bytes()} and wider.published() == {}


@pytest.mark.parametrize(
    ("spec", "change", "message"),
    [
        ({}, lambda r: r["added_tokens"].clear(), "no special token is known to end one; .* the file has none"),
        (
            {}, lambda r: r["added_tokens"].append(r["added_tokens"][1] | {"content": "</s>", "id": 900}),
            r"</s> and <\|endoftext\|> could each end a document; name one with separator=.* <pad>, </s>$",
        ),
        ({"separator": "<eos>"}, lambda r: None, "'<eos>' is to end documents, but is no special token; the file has"),
        ({"special": ("indented block",)}, lambda r: None, "'indented block' is to be special, but text is encoded"),
        ({}, lambda r: r.pop("model"), "are no tokenizer.json with a model, .*KeyError"),
        ({}, lambda r: r["model"].update(type="Magic"), "the tokenizers library cannot read it"),
        ({}, lambda r: r["added_tokens"][-1].update(id=999), "'indented block' has id 999 in it, but .* gives it 700"),
    ],
)  # fmt: skip
def test_files_that_do_not_serve(
    edited: Callable[..., Path], spec: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = edited(change)
    with pytest.raises(ValueError, match=f"tokenizer.json: .*{message}"):
        HuggingFace(str(path), **spec).train([])


def test_a_file_that_is_not_there_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.json does not exist; give a tokenizer.json"):
        HuggingFace(str(tmp_path / "none.json")).train([])
    (tmp_path / "t.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"t.json: these 2 bytes are no tokenizer.json"):
        HuggingFace(str(tmp_path / "t.json")).train([])
    with pytest.raises(ValueError, match="HuggingFace.special has '<a>', which names another token"):
        HuggingFace("x", special=("<a>", "<a>"))
