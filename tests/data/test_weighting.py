"""Weights bring about the shares they are for."""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation.chain import Chain
from data.curation.transform import CorpusTransform
from data.curation.weighting import (
    Balance,
    ByLanguage,
    ByLicence,
    ByMeta,
    BySource,
    CountCharacters,
    EqualShares,
    Independence,
    ListedShares,
    Resample,
    Reweight,
    Share,
    Target,
    TemperedShares,
)
from data.document import Document
from data.spec import build, describe


def run(transform: CorpusTransform, documents: Sequence[Document], cuts: int = 1) -> tuple[list[Document], Chain]:
    """Runs over shards; the outcome does not depend on how many there are."""
    shards = [documents[i::cuts] for i in range(cuts)]
    signature = transform.start_signature()
    packed = [transform.join.pack([signature(d) for d in shard]) for shard in shards]
    chain = Chain([], transform)
    left = []
    for shard, findings in zip(shards, transform.join.resolve(packed), strict=True):
        left += chain.feed(shard, findings)
    return left, chain


def corpus(**languages: int) -> list[Document]:
    return [
        Document("x" * (1 + i % 7), f"{language}{i}", "s", language=language)
        for language, number in languages.items()
        for i in range(number)
    ]


@pytest.mark.parametrize(
    ("target", "weights"),
    [
        (EqualShares(), {"en": 0.5 / 0.8, "de": 0.5 / 0.2}),
        (ListedShares((Share("en", 3.0), Share("de", 1.0), Share("fr", 9.0))), {"en": 0.75 / 0.8, "de": 0.25 / 0.2}),
        (TemperedShares(1.0), {"en": 1.0, "de": 1.0}),
        # Square roots of 0.8 and 0.2 are as 2 to 1.
        (TemperedShares(2.0), {"en": 2 / 3 / 0.8, "de": 1 / 3 / 0.2}),
    ],
)
def test_balance_by_hand(target: Target, weights: dict[str, float]) -> None:
    left, chain = run(Reweight(Balance(ByLanguage(), target)), corpus(en=8, de=2), cuts=3)
    assert len(left) == 10 and chain.reports[0].dropped == 0
    for document in left:
        assert document.meta["weight"] == pytest.approx(weights[document.language])


@given(st.dictionaries(st.sampled_from("en de fr sw".split()), st.integers(1, 9), min_size=1), st.integers(1, 3))
def test_weighted_characters_have_the_target_shares(sizes: dict[str, int], cuts: int) -> None:
    documents = corpus(**sizes)
    left, _ = run(Reweight(Balance(ByLanguage()), CountCharacters()), documents, cuts)
    weighed: Counter[str] = Counter()
    for document in left:
        weighed[document.language] += document.meta["weight"] * len(document.text)
    total = sum(len(document.text) for document in documents)
    assert {language: pytest.approx(total / len(sizes)) for language in sizes} == weighed


def test_independence_is_that_of_kamiran_and_calders() -> None:
    # The worked example of their section on reweighing: of five women two are hired, of five men four.
    cells = [("f", "+", 2, 1.5), ("f", "-", 3, 2 / 3), ("m", "+", 4, 0.75), ("m", "-", 1, 2.0)]
    documents = [
        Document("x", f"{sex}{label}{i}", "s", meta={"sex": sex, "hired": label})
        for sex, label, number, _ in cells
        for i in range(number)
    ]
    left, _ = run(Reweight(Independence(ByMeta("sex"), ByMeta("hired"))), documents)
    expected = {(sex, label): weight for sex, label, _, weight in cells}
    for document in left:
        assert document.meta["weight"] == pytest.approx(expected[document.meta["sex"], document.meta["hired"]])
    table = Counter()
    for document in left:
        table[document.meta["sex"], document.meta["hired"]] += document.meta["weight"]
    joint = np.array([[table["f", "+"], table["f", "-"]], [table["m", "+"], table["m", "-"]]]) / 10
    assert joint == pytest.approx(np.outer(joint.sum(1), joint.sum(0)))


def test_resampling_follows_the_weights() -> None:
    documents = corpus(en=600, de=200)
    left, chain = run(Resample(Balance(ByLanguage())), documents)
    counts = Counter(document.language for document in left)
    # Binomial: three standard deviations of 600 texts and a chance of 2/3 are 35; every German text is there twice.
    assert abs(counts["en"] - 400) < 35 and counts["de"] == 400
    assert len({document.id for document in left}) == len(left)
    report = chain.reports[0]
    assert report.reasons == {"left out to balance": 600 - counts["en"], "repeated to balance": 200}
    assert (report.dropped, report.added) == (600 - counts["en"], 200)
    assert run(Resample(Balance(ByLanguage())), documents)[0] == left
    assert run(Resample(Balance(ByLanguage()), seed=1), documents)[0] != left


def test_repeats_have_a_cap() -> None:
    left, _ = run(Resample(Balance(ByLanguage()), most=2), corpus(en=99, de=1))
    assert [document.id for document in left if document.language == "de"] == ["de0", "de0#copy1"]


def test_groupings() -> None:
    document = Document("x", "i", "s", "MIT", "en", {"k": 1})
    groups = [by.group(document) for by in (BySource(), ByLicence(), ByLanguage(), ByMeta("k"), ByMeta("other"))]
    assert groups == ["s", "MIT", "en", "1", "none"]


def test_weights_multiply_and_specs_can_be_stored() -> None:
    weighed = [Document("x", "i", "s", meta={"weight": 3})]
    assert run(Reweight(Balance(BySource())), weighed)[0][0].meta == {"weight": 3.0}
    for transform in (
        Resample(Balance(ByMeta("k"), ListedShares((Share("a", 1.0),))), CountCharacters(), 2, 7),
        Reweight(Independence(ByLanguage(), BySource()), key="w"),
    ):
        assert build(json.loads(json.dumps(describe(transform))), type(transform)) == transform


def test_what_cannot_be_is_told() -> None:
    for wrong, message in (
        (lambda: TemperedShares(0.0), "TemperedShares.t is 0.0"),
        (lambda: Share("a", -1.0), "the share of 'a' is -1.0"),
        (lambda: Resample(Balance(ByLanguage()), most=0), "Resample.most is 0"),
        (lambda: run(Reweight(Balance(BySource(), ListedShares(()))), corpus(de=1)), "no share for 's'"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
