"""What holds of every choice of targets."""

import importlib.util
import itertools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.packing import BestFit, Windows
from data.pipeline import TrainPipeline
from data.plan import BatchPlan, SourceRows
from data.spec import build, describe
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import (
    UL2,
    DecoderOnly,
    FillInTheMiddle,
    MaskedLM,
    NextToken,
    PrefixLM,
    Rows,
    SpanCorruption,
    Targets,
    WholeWords,
)
from data.targets.denoising import Denoising
from data.timeline import Timeline
from data.training import Format
from model.spec import Hidden
from train.objective import CrossEntropy

_spec = importlib.util.spec_from_file_location("target_rows", Path(__file__).parent / "target_rows.py")
target_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(target_rows)
TOKENIZER, SEPARATOR = target_rows.TOKENIZER, target_rows.SEPARATOR
make_rows, make_keys, texts = target_rows.make_rows, target_rows.make_keys, target_rows.texts
KINDS = [
    NextToken(),
    PrefixLM(),
    SpanCorruption(),
    SpanCorruption(layout=DecoderOnly()),
    UL2(),
    UL2(layout=DecoderOnly()),
    MaskedLM(),
    MaskedLM(unit=WholeWords()),
    FillInTheMiddle(),
]
CAUSAL = [spec for spec in KINDS if not isinstance(spec, MaskedLM) and getattr(spec, "layout", None) != UL2().layout]


def taken(rows: Rows, which: np.ndarray) -> Rows:
    """Some of the rows, in another order."""
    return Rows(*(None if part is None else part[which] for part in rows))


@given(
    spec=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32),
    sequence=st.integers(12, 40),
    segments=st.booleans(),
    data=st.data(),
)
def test_a_row_depends_on_itself_and_its_key_alone(
    spec: Targets, seed: int, sequence: int, segments: bool, data: st.DataObject
) -> None:
    segments = segments and not isinstance(spec, Denoising)
    rows, keys = make_rows(seed, 8, spec.raw_length(sequence), segments), make_keys(seed, 8)
    before = [None if part is None else part.copy() for part in rows]
    make = spec.start(TOKENIZER, sequence)
    whole = make(rows, keys)
    which = np.array(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True)))
    part = make(taken(rows, which), keys[which])
    fields = spec.fields(sequence, segments)
    assert list(whole) == list(fields) == list(part)
    for name, array in whole.items():
        assert array.shape == (8, *fields[name].shape) and array.dtype == fields[name].dtype
        assert np.array_equal(part[name], array[which])
    assert all(same is None or np.array_equal(same, part) for same, part in zip(before, rows, strict=True))


@pytest.mark.parametrize("spec", [spec for spec in KINDS if spec != NextToken()])
def test_another_key_gives_another_row(spec: Targets) -> None:
    rows = make_rows(0, 1, spec.raw_length(120), padded=False)
    make = spec.start(TOKENIZER, 120)
    rows = taken(rows, np.zeros(20, np.int64))
    batch = make(rows, make_keys(0, 20))
    assert len({b"".join(array[row].tobytes() for array in batch.values()) for row in range(20)}) > 10


@pytest.mark.parametrize("segments", [False, True])
def test_next_token_passes_rows_on(segments: bool) -> None:
    rows = make_rows(0, 3, 16, segments)
    batch = NextToken().start(TOKENIZER, 16)(rows, make_keys(0, 3))
    assert list(batch) == list(rows._fields[: 5 if segments else 3])
    assert all(batch[name] is getattr(rows, name) for name in batch)


@pytest.mark.parametrize("spec", KINDS)
def test_specs_are_data(spec: Targets) -> None:
    assert build(describe(spec), Targets) == spec


class Uniform:
    """A model that thinks every token alike likely."""

    def hidden(self, batch, dropout_key=None) -> Hidden:
        return Hidden(jnp.zeros((*batch["inputs"].shape, TOKENIZER.vocab_size)), jnp.zeros(()), {})

    def logits(self, x):
        return x


@pytest.mark.parametrize("spec", CAUSAL)
def test_batches_of_decoders_are_those_of_a_causal_objective(spec: Targets) -> None:
    rows = make_rows(0, 4, spec.raw_length(32))
    batch = spec.start(TOKENIZER, 32)(rows, make_keys(0, 4))
    found = CrossEntropy().sums(Uniform(), {name: jnp.asarray(array) for name, array in batch.items()}, None)
    weight = batch["weights"].sum(dtype=np.float64)
    assert 0 < weight <= 4 * 32 and float(found.weight) == weight
    assert float(found.loss) == pytest.approx(weight * np.log(TOKENIZER.vocab_size), rel=1e-5)
    assert batch["inputs"].max() < TOKENIZER.vocab_size and batch["targets"].max() < TOKENIZER.vocab_size


@pytest.mark.parametrize("spec", [PrefixLM(), SpanCorruption(), MaskedLM(unit=WholeWords()), FillInTheMiddle()])
def test_hosts_and_the_first_step_change_nothing(spec: Targets, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with TokenStoreWriter(tmp_path, vocab_size=TOKENIZER.vocab_size, tokenizer="", separator=SEPARATOR) as writer:
        for _ in range(60):
            writer.append(rng.integers(0, 256, rng.integers(0, 60)), 1)
    store = TokenStore(tmp_path)
    form = Format(Windows() if isinstance(spec, Denoising) else BestFit(), spec, 32)
    table = form.packing.training(store, form.length)
    plan = BatchPlan(Timeline.alone(4), (SourceRows("", table.rows),), seed=3)

    def take(first: int, count: int, host: int = 0, hosts: int = 1) -> list[dict[str, np.ndarray]]:
        pipeline = TrainPipeline(plan, [table], form.maker(TOKENIZER), host, hosts)
        return [batch for _, batch in itertools.islice(pipeline.from_step(first), count)]

    whole = take(0, 4)
    halves = [take(2, 2, host, 2) for host in range(2)]
    for step in range(2):
        for name, field in form.fields.items():
            together = np.concatenate([half[step][name] for half in halves])
            assert np.array_equal(together, whole[2 + step][name])
            assert together.shape == (4, *field.shape) and together.dtype == field.dtype
