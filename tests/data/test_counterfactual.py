"""Genders change places with agreement, and back again."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation.bias import Augment, CounterfactualSwap, KeepNames, ListedNames, PairedNames, Substitute
from data.curation.bias.counterfactual import GENDERED_WORDS
from data.curation.bias.pairing import read_pairs
from data.curation.bias.swap import Swap
from data.curation.chain import Chain
from data.document import Document
from data.pinned_file import PinnedFile
from data.spec import build, describe

WORDS = read_pairs(None, GENDERED_WORDS)
SWAP = Swap(WORDS, PairedNames().pairs())

# Each sentence with what a person would write; "her" and "his" in both their uses, and words that are both nouns and
# something else after them.
SENTENCES = [
    ("He gave her the book.", "She gave him the book."),
    ("I saw her at home with her mother.", "I saw him at home with his father."),
    ("I met him and his wife.", "I met her and her husband."),
    ("The book is his.", "The book is hers."),
    ("His is older than hers.", "Hers is older than his."),
    ("That friend of his, a doctor, called her.", "That friend of hers, a doctor, called him."),
    ("She sold her old car to him yesterday.", "He sold his old car to her yesterday."),
    ("He hurt his back, and she took her time.", "She hurt her back, and he took his time."),
    ("They brought her back; she told her quickly.", "They brought him back; he told him quickly."),
    ("Her only child loves her.", "His only child loves him."),
    ("It made her happy.", "It made him happy."),
    ("The will was his own; his will was done.", "The will was her own; her will was done."),
    ("Ask her whether her family is \"his\".", "Ask him whether his family is \"hers\"."),
    ("MR. SMITH SAID HE'D SEE HIMSELF.", "MS. SMITH SAID SHE'D SEE HERSELF."),
    ("Mrs. Jones and Mr. Brown", "Mr. Jones and Ms. Brown"),
    ("Ladies? No: lady, gentleman, KING, Waitresses", "Gentlemen? No: gentleman, lady, QUEEN, Waiters"),
    ("The theme of the mangy shell", "The theme of the mangy shell"),
    ("James met Mary and john; James's hat", "Mary met James and john; Mary's hat"),
    ("her\nsister", "his\nbrother"),
    ("They watched her with his camera.", "They watched him with her camera."),
]  # fmt: skip
# What the rule cannot know, since only the meaning tells; it stays here so that nobody thinks that it does.
KNOWN_WRONG = {"It made her happy."}


@pytest.mark.parametrize(("before", "after"), SENTENCES)
def test_sentences_agree(before: str, after: str) -> None:
    if before in KNOWN_WRONG:
        assert SWAP(before)[0] == "It made his happy."
    else:
        assert SWAP(before)[0] == after


def test_words_are_counted() -> None:
    assert SWAP("He saw her mother.")[1] == 3
    assert SWAP("nobody") == ("nobody", 0)


CLEAR = sorted((WORDS.keys() | {"the", "xhe", "hero", "other"}) - {"her", "his"})


@given(st.lists(st.sampled_from(CLEAR).flatmap(lambda w: st.sampled_from([w, w.title(), w.upper()])), max_size=12))
def test_a_swap_is_undone_by_another(words: list[str]) -> None:
    text = " ".join(words)
    once, number = SWAP(text)
    assert SWAP(once) == (text, number)
    assert number == sum(word.lower() in WORDS for word in words)


@given(st.lists(st.sampled_from("James MARY Patricia Robert james".split()), max_size=6))
def test_names_keep_their_counterpart(names: list[str]) -> None:
    table = {"James": "Mary", "MARY": "JAMES", "Patricia": "Robert", "Robert": "Patricia", "james": "james"}
    assert SWAP(", ".join(names))[0] == ", ".join(table[name] for name in names)


def pinned(file: Path) -> PinnedFile:
    return PinnedFile(str(file), hashlib.sha256(file.read_bytes()).hexdigest())


def curated(transform: CounterfactualSwap, documents: list[Document]) -> tuple[list[Document], Chain]:
    chain = Chain([transform])
    return chain.feed(documents), chain


def test_augmentation_adds_and_substitution_replaces() -> None:
    documents = [
        Document("He ran.", "a", "s"),
        Document("It ran.", "b", "s"),
        Document("Il dit: he, Paul.", "c", "s", language="fr"),
    ]
    added, chain = curated(CounterfactualSwap(Augment()), documents)
    assert [(d.id, d.text) for d in added] == [
        ("a", "He ran."), ("a#swapped", "She ran."), ("b", "It ran."), ("c", "Il dit: he, Paul."),
    ]  # fmt: skip
    report = chain.reports[0]
    assert (report.added, report.changed, report.tallies) == (1, 0, {"words swapped": 1})
    replaced, chain = curated(CounterfactualSwap(Substitute(1.0)), documents)
    assert [(d.id, d.text) for d in replaced] == [("a", "She ran."), ("b", "It ran."), ("c", "Il dit: he, Paul.")]
    assert chain.reports[0].reasons == {"genders swapped": 1}
    assert curated(CounterfactualSwap(Substitute(0.0)), documents)[0] == documents


def test_a_share_is_substituted_the_same_each_time() -> None:
    documents = [Document("he", str(i), "s") for i in range(500)]
    texts = [d.text for d in curated(CounterfactualSwap(Substitute(0.3)), documents)[0]]
    # Three standard deviations of a binomial of 500 and 0.3 are 31.
    assert abs(texts.count("she") - 150) < 31
    assert texts == [d.text for d in curated(CounterfactualSwap(Substitute(0.3)), documents)[0]]


def test_names_from_lists_are_paired_by_place(tmp_path: Path) -> None:
    (tmp_path / "male.txt").write_text("Otto\nKim\nHans\nUwe\n")
    (tmp_path / "female.txt").write_text("Kim\nAnna\nEva\n")
    names = ListedNames(pinned(tmp_path / "male.txt"), pinned(tmp_path / "female.txt"))
    assert names.pairs() == {"otto": "anna", "anna": "otto", "hans": "eva", "eva": "hans"}
    transform = CounterfactualSwap(Augment(), names=names)
    assert curated(transform, [Document("Otto, Kim, Uwe", "d", "s")])[0][1].text == "Anna, Kim, Uwe"
    assert build(describe(transform), CounterfactualSwap) == transform
    assert curated(CounterfactualSwap(Augment(), names=KeepNames()), [Document("James", "d", "s")])[0][-1].id == "d"


def test_the_tables_that_come_along_pair_each_word_once() -> None:
    for table in (WORDS, PairedNames().pairs()):
        assert all(table[other] == word and other != word for word, other in table.items())
    assert not WORDS.keys() & PairedNames().pairs().keys()


def test_bad_tables_are_told(tmp_path: Path) -> None:
    for content, message in (
        ("he\tshe\n", "begins with .*must have the columns"),
        ("male\tfemale\nhe she\n", "row 2 is .*two words separated by a tab"),
        ("male\tfemale\nhe\tshe\nman\tshe\n", "has 'she' in two pairs"),
    ):
        (tmp_path / "pairs.tsv").write_text(content)
        with pytest.raises(ValueError, match=message):
            CounterfactualSwap(words=pinned(tmp_path / "pairs.tsv")).start()
    with pytest.raises(ValueError, match="Substitute.share is 1.5"):
        Substitute(1.5)
