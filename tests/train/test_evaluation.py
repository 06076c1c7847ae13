"""What is told of held-out text, and what is not told where it would mean nothing."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from data.packing import Windows
from data.prepared import Prepared
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import NextToken, PrefixLM, Targets
from data.tokenizers import Bytes
from sharding.placements import DataParallel
from train.evaluation import Evaluator, bits_per_byte, in_words
from train.experiment import Batches
from train.objective import Objective, Sums
from train.state import Blueprint

TOKENIZER = Bytes().train([])
NATS = 0.5


class Nothing(Blueprint):
    """No model."""

    def __init__(self) -> None:
        pass

    def model(self, weights: Any) -> Any:
        return weights


MINIMISED: list[float] = []


def minimised(weight: np.ndarray) -> np.ndarray:
    """Notes that it was computed, which is for training alone."""
    MINIMISED.append(float(weight))
    return np.float32(0)


class Half(Objective):
    """Half a nat for each token that counts."""

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        weight = jnp.sum(batch["weights"])
        loss = jax.pure_callback(minimised, jax.ShapeDtypeStruct((), jnp.float32), jax.lax.stop_gradient(weight))
        return Sums(loss, NATS * weight, weight)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    writer = TokenStoreWriter(tmp_path / "s", vocab_size=257, tokenizer=TOKENIZER.hash, separator=256)
    for size in (30, 40, 50):
        writer.append(np.full(size, 97, np.int32), size)
    return writer.finish()


class Place(Objective):
    """As many nats as there are tokens before."""

    def sums(self, model: Any, batch: Any, dropout_key: Any) -> Sums:
        weights = batch["weights"]
        nll = jnp.sum(weights * jnp.arange(weights.shape[1]))
        return Sums(nll, nll, jnp.sum(weights))


def figures(
    store: TokenStore, targets: Targets, tmp_path: Path, objective: Objective = Half(), longer: tuple[int, ...] = ()
) -> dict[str, float]:
    prepared = Prepared(epath.Path(tmp_path), store, store, TOKENIZER, {})
    batch = Batches(sequence=16, batch=8, packing=Windows(), targets=targets, longer=longer)
    return Evaluator(Nothing(), objective, prepared, batch, DataParallel().on())(jnp.zeros(1))


def test_every_token_counts_once(store: TokenStore, tmp_path: Path) -> None:
    found = figures(store, NextToken(), tmp_path)
    # Each of three documents has a separator, which stands for no byte.
    assert found["eval/tokens"] == 123 and found["eval/loss"] == pytest.approx(NATS)
    assert found["eval/bits_per_byte"] == pytest.approx(NATS * 123 / math.log(2) / 120)
    assert not MINIMISED
    assert in_words(found) == f"0.5000 nats a token, {NATS * 123 / math.log(2) / 120:.4f} bits a byte"


def test_a_part_of_the_tokens_says_nothing_of_bytes(store: TokenStore, tmp_path: Path) -> None:
    found = figures(store, PrefixLM(), tmp_path)
    assert 0 < found["eval/tokens"] < 123 and found["eval/loss"] == pytest.approx(NATS)
    assert "eval/bits_per_byte" not in found
    assert in_words(found) == "0.5000 nats a token"
    assert bits_per_byte(61.5, 122.0, [store]) is None
    assert bits_per_byte(math.log(2) * 120, 123.0, [store]) == pytest.approx(1.0)


def test_longer_rows_are_told_besides(store: TokenStore, tmp_path: Path) -> None:
    alone = figures(store, NextToken(), tmp_path, Place())
    found = figures(store, NextToken(), tmp_path, Place(), longer=(2, 3))
    assert {key: value for key, value in found.items() if "longer" not in key} == alone
    for times in (2, 3):
        place = np.arange(123) % (16 * times)
        assert found[f"eval/longer_{times}/tokens"] == 123
        assert found[f"eval/longer_{times}/loss"] == pytest.approx(place.mean())
        stretch = place[(place >= 15) & (place < 31)]
        assert found[f"eval/longer_{times}/position_00016/loss"] == pytest.approx(stretch.mean())
    assert "eval/longer_2/position_00032/loss" in found and "eval/longer_2/position_00064/loss" not in found


def test_longer_rows_are_longer_and_told_apart() -> None:
    for longer in ((1,), (4, 4)):
        with pytest.raises(ValueError, match=r"batch.longer.\d is \d; it is 2 or more, and another than those before"):
            Batches(sequence=16, batch=8, longer=longer)
