"""What is held out is what the split says, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.document import Document
from data.split import HashSplit, Split, TailSplit


def parts(split: Split, texts: list[str]) -> dict[str, list[str]]:
    documents = [Document(text, str(i), "s") for i, text in enumerate(texts)]
    found: dict[str, list[str]] = {"train": [], "validation": []}
    for part, document in split.divide(documents, sum(map(len, texts))):
        found[part].append(document.text)
    return found


@given(texts=st.lists(st.text(max_size=20)), fraction=st.floats(0.01, 0.99))
def test_the_tail_is_held_out(texts: list[str], fraction: float) -> None:
    found = parts(TailSplit(fraction), texts)
    text = "".join(texts)
    boundary = int((1 - fraction) * len(text))
    assert "".join(found["train"]) == text[:boundary]
    assert "".join(found["validation"]) == text[boundary:]


def test_the_tail_of_one_document_is_as_in_nanogpt() -> None:
    found = parts(TailSplit(0.1), ["x" * 1_115_394])
    assert len(found["train"][0]) == 1_003_854
    assert len(found["validation"][0]) == 111_540


def test_hashes_hold_out_about_the_fraction_and_stay() -> None:
    split = HashSplit(0.1)
    texts = [str(i) for i in range(5000)]
    found = parts(split, texts)
    assert sorted(found["train"] + found["validation"]) == sorted(texts)
    # Five standard deviations of a binomial.
    assert abs(len(found["validation"]) - 500) < 5 * (5000 * 0.1 * 0.9) ** 0.5
    assert parts(split, texts[:1000])["validation"] == [
        text for text in found["validation"] if int(text) < 1000
    ]
    assert parts(HashSplit(0.1), ["a"] * 6) == parts(HashSplit(0.1), ["a"] * 6)


@pytest.mark.parametrize("split", [HashSplit, TailSplit])
@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5])
def test_fractions_must_be_fractions(split: type, fraction: float) -> None:
    with pytest.raises(ValueError, match=rf"{split.__name__}.fraction is {fraction}, but must"):
        split(fraction)
