"""From a spec to batches, and the account of what was read against counting it."""

import itertools
from collections import Counter

import numpy as np
import pytest

from data.mixture import Joining, Mixture, Part
from data.packing import BestFit, Packing, Padded, Windows
from data.prepared import Prepared
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.targets import NextToken
from data.tokenizers import Bytes
from data.training import Format, Training, training

BATCH, STEPS, SEQUENCE = 6, 40, 16
PACKINGS = [Windows(), Windows(segments=True), BestFit(), Padded()]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """Three parts, each of one letter, in documents of up to thirty of it."""
    top, rng, made = tmp_path_factory.mktemp("texts"), np.random.default_rng(0), []
    for number, letter in enumerate("abc"):
        (top / letter).mkdir()
        for document in range(20 * (number + 1)):
            (top / letter / f"{document:02}.txt").write_text(letter * int(rng.integers(1, 30)))
        data = Recipe(TextFiles(str(top / letter)), (), TailSplit(0.1), Bytes())
        made.append(Part(letter, data, Joining(20, 0.5) if letter == "c" else 1.0))
    return Mixture(tuple(made))


@pytest.fixture(scope="module")
def prepared(mixture: Mixture, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return mixture.prepare(tmp_path_factory.mktemp("data") / "made", lambda line: None)


def start(mixture: Mixture, prepared: Prepared, packing: Packing, log: list[str] | None = None) -> Training:
    form = Format(packing, NextToken(), SEQUENCE)
    said: list[str] = [] if log is None else log
    return training(mixture, prepared, form, batch=BATCH, steps=STEPS, seed=3, log=said.append)


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_account_is_what_was_read(mixture: Mixture, prepared: Prepared, packing: Packing) -> None:
    said: list[str] = []
    made = start(mixture, prepared, packing, said)
    counts: Counter[str] = Counter()
    for step, batch in itertools.islice(made.pipeline.from_step(0), STEPS):
        assert set(batch) == set(made.pipeline.maker.fields)
        for name, reading in made.account.after(step).items():
            assert reading.rows == counts[name]
            assert abs(reading.rows - reading.due * BATCH * step) < 1
        for row in np.concatenate([batch["inputs"], batch["targets"]], axis=1):
            # A row holds letters of one part and separators.
            (letter,) = {chr(token) for token in row.tolist() if token} & set("abc")
            counts[letter] += 1
    after = made.account.after(STEPS)
    assert {name: reading.rows for name, reading in after.items()} == counts == {"a": 90, "b": 90, "c": 60}
    assert after["c"].share == 0.25 and after["a"].epochs == 90 / made.account.tables["a"].rows
    figures = made.account.figures(STEPS)
    assert figures["data/c/share"] == 0.25 and figures["data/a/epochs"] == after["a"].epochs
    assert len(said) == 3 and said[2].startswith("data: c: 25.00% of the rows of 40 steps, ")


def test_tokens_are_counted_over_an_epoch(mixture: Mixture, prepared: Prepared) -> None:
    made = start(mixture, prepared, Padded())
    for name, reading in made.account.after(STEPS).items():
        table = made.account.tables[name]
        assert table.tokens == len(prepared.parts[name].train)
        assert reading.tokens == pytest.approx(reading.epochs * table.tokens)


def test_one_corpus_alone_has_nothing_to_account_for(mixture: Mixture, prepared: Prepared) -> None:
    said: list[str] = []
    only = prepared.parts["b"]
    form = Format(BestFit(), NextToken(), SEQUENCE)
    made = training(mixture.parts[1].data, only, form, batch=BATCH, steps=STEPS, seed=3, log=said.append)
    assert said == [] and made.account.figures(STEPS) == {}
    assert made.account.after(STEPS)[""].rows == STEPS * BATCH
    assert next(made.pipeline.from_step(0))[1]["targets"].shape == (BATCH, SEQUENCE)
    held_out = list(form.evaluation(only.validation, only.tokenizer, 4))
    assert sum(batch["weights"].sum() for batch in held_out) == len(only.validation)


def test_a_batch_that_is_too_small_or_a_row_too_long_is_told(mixture: Mixture, prepared: Prepared) -> None:
    with pytest.raises(ValueError, match="needs a corpus of at least .* tokens, but .*train holds"):
        training(
            mixture, prepared, Format(Windows(), NextToken(), 5000), batch=BATCH, steps=STEPS, seed=3,
            log=lambda line: None,
        )  # fmt: skip
    a, b, c = mixture.parts
    with pytest.raises(ValueError, match="'c' joins at step 20, .* blocks of 101 steps"):
        start(Mixture((a, Part("b", b.data, 0.01), c)), prepared, BestFit())
