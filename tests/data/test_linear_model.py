"""The classifier learns what tells two kinds of text apart, and comes back from its file as it was."""

import io

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from data.curation.quality.linear_model import Features, LinearModel, auc

GOOD = [f"The heron number {n} stands in clear water, and waits for {n} fish." for n in range(30)]
BAD = [f"buy cheap watch {n} best price click here {n} free" for n in range(20)]
SMALL = Features(buckets=1 << 10)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return LinearModel.train(GOOD, BAD, SMALL)


def test_it_tells_kinds_apart(model: LinearModel) -> None:
    scores = model.scores(["A heron waits in the water.", "click here to buy cheap", ""])
    assert scores[0] > 0.6 > 0.4 > scores[1]
    assert scores[2] == pytest.approx(1 / (1 + np.exp(-model.bias)))


def test_scores_are_those_of_scikit_learn(model: LinearModel) -> None:
    texts = [*GOOD, *BAD]
    reference = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
    reference.fit(SMALL.vectors(texts), [1] * len(GOOD) + [0] * len(BAD))
    np.testing.assert_allclose(model.scores(texts), reference.predict_proba(SMALL.vectors(texts))[:, 1], rtol=1e-5)


def test_vectors_hold_words_and_pairs() -> None:
    vectors = SMALL.vectors(["Green herons", "green green", "x" * 50])
    # Two words and a pair, of equal weight; then a word twice and a pair.
    np.testing.assert_allclose(np.sort(abs(vectors[0].data)), [3**-0.5] * 3)
    np.testing.assert_allclose(np.sort(abs(vectors[1].data)), [5**-0.5, 2 * 5**-0.5])
    assert (Features(1 << 10, characters=5).vectors(["green herons"]) != SMALL.vectors(["green"])).nnz == 0


def test_it_comes_back_from_its_file(model: LinearModel, tmp_path) -> None:
    model.save(tmp_path / "model.npz")
    loaded = LinearModel.load((tmp_path / "model.npz").read_bytes(), "model.npz")
    assert loaded.features == SMALL and loaded.bias == model.bias
    np.testing.assert_array_equal(loaded.weights, model.weights)
    model.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "model.npz").read_bytes()


def test_what_is_no_model_is_refused(tmp_path) -> None:
    other = io.BytesIO()
    np.savez(other, weights=np.zeros(3))
    for content in (b"", b"nothing of the kind", other.getvalue()):
        with pytest.raises(ValueError, match="some.npz is no quality classifier"):
            LinearModel.load(content, "some.npz")
    LinearModel(SMALL, np.zeros(10, np.float32), 0.0).save(tmp_path / "short.npz")
    with pytest.raises(ValueError, match=r"weights are float32\[10\], but must be float32\[1024\]"):
        LinearModel.load((tmp_path / "short.npz").read_bytes(), "short.npz")
    with pytest.raises(ValueError, match="Features.ngram is 0"):
        Features(ngram=0)


def test_area_under_the_curve() -> None:
    # Of six pairs four are in order and one is a tie.
    assert auc(np.array([0.9, 0.5]), np.array([0.1, 0.5, 0.8])) == pytest.approx(4.5 / 6)
