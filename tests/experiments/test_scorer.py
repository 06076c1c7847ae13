"""A run scores documents as its evaluation does, alone and among others."""

import json
from dataclasses import replace

import numpy as np
import pytest
from etils import epath

from data.archive import write_documents
from data.curation import Between, Perplexity
from data.curation.curation import Curation
from data.curation.engine import curate
from data.document import Document
from data.packing import Windows
from data.sources import JsonLines
from data.spec import build, describe
from data.targets import PrefixLM
from experiments import evaluate
from experiments.restore import open_run
from experiments.scorer import RunScorer

TEXTS = ["17 green bottles hanging on the wall.\n" * 3, "x", "Zwölf Boxkämpfer jagen Viktor über den Sylter Deich."]


@pytest.fixture(scope="module")
def score(trained):
    return RunScorer(str(trained.path), step=4, rows=3).start()


def test_a_text_scores_as_in_evaluation(trained, score, tmp_path) -> None:
    expected = []
    for text in TEXTS[::2]:
        (tmp_path / "text.txt").write_text(text)
        [figures] = evaluate.evaluate_texts(open_run(trained.path), [str(tmp_path / "text.txt")]).values()
        expected.append(figures["bits_per_byte"])
    np.testing.assert_allclose(score(TEXTS[::2]), expected, rtol=1e-5)


def test_a_text_scores_the_same_among_others(score) -> None:
    alone = [score([text])[0] for text in TEXTS]
    np.testing.assert_allclose(score([*TEXTS, *TEXTS[::-1]]), [*alone, *alone[::-1]], rtol=1e-6)


def test_a_run_that_went_on_is_refused(trained) -> None:
    with pytest.raises(ValueError, match="is at step 4, but RunScorer.step is 3"):
        RunScorer(str(trained.path), step=3).start()
    with pytest.raises(ValueError, match="RunScorer.rows is 0"):
        RunScorer(str(trained.path), step=4, rows=0)


def with_batch(trained, monkeypatch, **changes) -> None:
    """Opens the run as if its batches had been made in another way."""
    opened = open_run(trained.path)
    batch = replace(opened.experiment.batch, **changes)
    other = replace(opened, experiment=replace(opened.experiment, batch=batch))
    monkeypatch.setattr("experiments.restore.open_run", lambda *given, **named: other)


def test_rows_that_tell_documents_apart_score_the_same(trained, score, monkeypatch) -> None:
    with_batch(trained, monkeypatch, packing=Windows(segments=True))
    np.testing.assert_allclose(RunScorer(str(trained.path), step=4).start()(TEXTS), score(TEXTS), rtol=1e-5)


def test_a_run_that_learnt_something_else_is_refused(trained, monkeypatch) -> None:
    with_batch(trained, monkeypatch, targets=PrefixLM())
    with pytest.raises(ValueError, match="learnt CrossEntropy on PrefixLM, but the likelihood of a text takes"):
        RunScorer(str(trained.path), step=4).start()


def test_it_filters_a_curation(trained, score, tmp_path) -> None:
    documents = [Document(text, str(n), "s") for n, text in enumerate(TEXTS)]
    write_documents(epath.Path(tmp_path / "in.jsonl.zst"), documents)
    bits = sorted(score(TEXTS))
    keep = Between(highest=round((bits[1] + bits[2]) / 2, 2))
    transform = Perplexity(RunScorer(str(trained.path), step=4), keep)
    assert build(json.loads(json.dumps(describe(transform))), Perplexity) == transform
    corpus = curate(Curation(JsonLines(str(tmp_path / "in.jsonl.zst")), (transform,)), tmp_path / "out")
    kept = list(corpus.documents())
    assert len(kept) == 2 and corpus.report["transforms"][0]["reasons"] == {"perplexity: too high": 1}
    scores = [document.meta["bits_per_byte"] for document in kept]
    np.testing.assert_allclose(sorted(scores), bits[:2], atol=1e-4)
