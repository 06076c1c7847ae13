"""Documents are scored and kept by a trained classifier."""

import hashlib
import json

import numpy as np
import pytest

from data.curation import AtLeast, QualityScore, Transform
from data.curation.quality.linear_model import Features, LinearModel
from data.document import Document
from data.pinned_file import PinnedFile
from data.spec import build, describe

GOOD, BAD = "The heron waits in clear water.", "buy cheap watch click here"
DOCUMENTS = [Document(text, str(n), "s", meta={"url": "u"}) for n, text in enumerate([GOOD, BAD, GOOD])]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> PinnedFile:
    path = tmp_path_factory.mktemp("model") / "quality.npz"
    LinearModel.train([GOOD] * 3, [BAD] * 3, Features(1 << 10)).save(path)
    return PinnedFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def test_scores_and_threshold(file: PinnedFile) -> None:
    good, bad, again = QualityScore(file, AtLeast(0.5)).start_batch()(DOCUMENTS)
    assert good.document is not None and again.document is not None
    assert good.document.meta == {"url": "u", "quality": again.document.meta["quality"]}
    score = good.document.meta["quality"]
    assert 0.5 < score <= 1 and good.tallies == {f"0.{int(10 * score)}": 1}
    assert bad.document is None and bad.reasons == {"quality: low score": 1}
    at = QualityScore(file, AtLeast(score)).start_batch()(DOCUMENTS)
    assert at[0].document == good.document
    above = QualityScore(file, AtLeast(score + 1e-4)).start_batch()(DOCUMENTS)
    assert above[0].document is None


def test_batches_do_not_matter(file: PinnedFile) -> None:
    judge = QualityScore(file).start_batch()
    assert judge(DOCUMENTS) == [verdict for document in DOCUMENTS for verdict in judge([document])]
    assert judge([]) == []


def test_the_file_must_be_the_one_that_was_pinned(file: PinnedFile) -> None:
    with pytest.raises(ValueError, match="has the SHA-256"):
        QualityScore(PinnedFile(file.path, "0" * 64)).start_batch()


def test_its_spec_is_data(file: PinnedFile) -> None:
    transform = QualityScore(file, AtLeast(0.5))
    assert build(json.loads(json.dumps(describe(transform))), Transform) == transform
    [table] = transform.tables({"tallies": {"0.9": 2, "0.1": 1}})
    np.testing.assert_allclose([row[2] for row in table.rows], [1 / 3, 1])
