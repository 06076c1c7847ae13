"""Encoders and encoder-decoders against transformers itself, live.

Needs the extra `parity`. The goldens of the default suite are written anew by

    PYTHONPATH=. python tests/model/parity/test_encoder.py
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from model.decoding import generate
from model.families.tensor_files import TensorFiles
from model.families.transfer import PublishedModel, export, load, tensors_from
from tests.model.families.encoder_cases import MASKED, SEQUENCE
from tests.model.families.published_models import drawn, write

pytestmark = pytest.mark.slow
GOLDENS = Path(__file__).parents[1] / "goldens" / "encoders.json"
QUICK = {"xla_backend_optimization_level": 0}
LENGTHS = np.array([[23], [11], [5]])
REAL = np.arange(23) < LENGTHS


def theirs(kind: str, directory: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[parity]'")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model, info = getattr(transformers, kind).from_pretrained(
        directory, dtype="float32", attn_implementation="eager", output_loading_info=True
    )
    assert not any(info.get(found) for found in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval()


def asked(model: Any, **given: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return model(**{name: torch.tensor(value, dtype=torch.long) for name, value in given.items()}).logits.numpy()


@jax.jit
def ours(model: Any, *arguments: Any, **more: Any) -> Any:
    return model(*arguments, **more)


def there_and_back(family: Any, config: Any, model: Any, one: Path, other: Path) -> None:
    other.mkdir()
    _, read = tensors_from(model)
    export(family, config, read, lambda _: np.dtype(np.float32), other)
    first, second = TensorFiles(one), TensorFiles(other)
    assert sorted(first.names()) == sorted(second.names())
    for tensor in first.names():
        assert first.read(tensor).tobytes() == second.read(tensor).tobytes(), tensor
    assert PublishedModel(other).config == config


@pytest.mark.parametrize("name", MASKED)
def test_masked(name: str, tmp_path: Path) -> None:
    values = MASKED[name]
    family = write(tmp_path / "published", values)
    reference = theirs("AutoModelForMaskedLM", tmp_path / "published")
    config, model = load(tmp_path / "published")
    tokens = drawn(97, 3, 23)
    types = np.random.default_rng(1).integers(0, values.get("type_vocab_size", 2), tokens.shape).astype(np.int32)
    expected = asked(reference, input_ids=tokens, token_type_ids=types)
    difference = np.abs(ours(model, tokens, types=types) - expected).max()
    # RoBERTa counts positions by what is no padding, so padding has its id.
    padded = np.where(REAL, tokens, values.get("pad_token_id", 0)).astype(np.int32)
    found = ours(model, padded, None, REAL.astype(np.int32))[REAL]
    ragged = np.abs(found - asked(reference, input_ids=padded, attention_mask=REAL)[REAL]).max()
    print(f"{name:16} logits up to {np.abs(expected).max():5.2f}; differences {difference:.1e}, padded {ragged:.1e}")
    assert 0.5 < np.abs(expected).max() < 50 and max(difference, ragged) < 2e-4
    there_and_back(family, config, model, tmp_path / "published", tmp_path / "again")
    again = theirs("AutoModelForMaskedLM", tmp_path / "again")
    assert np.array_equal(asked(again, input_ids=tokens, token_type_ids=types), expected)


@pytest.mark.parametrize("name", SEQUENCE)
def test_sequence_to_sequence(name: str, tmp_path: Path) -> None:
    import torch

    family = write(tmp_path / "published", SEQUENCE[name])
    reference = theirs("AutoModelForSeq2SeqLM", tmp_path / "published")
    config, model = load(tmp_path / "published")
    source, target = drawn(97, 3, 23), drawn(97, 3, 9)[:, ::-1].copy()
    expected = asked(reference, input_ids=source, decoder_input_ids=target)
    difference = np.abs(ours(model, source, target) - expected).max()
    padded = np.where(REAL, source, 0).astype(np.int32)
    found = ours(model, padded, target, REAL.astype(np.int32), np.ones_like(target))
    ragged = np.abs(
        found - asked(reference, input_ids=padded, decoder_input_ids=target, attention_mask=REAL)
    ).max()
    print(f"{name:16} logits up to {np.abs(expected).max():5.2f}; differences {difference:.1e}, padded {ragged:.1e}")
    assert 0.5 < np.abs(expected).max() < 50 and max(difference, ragged) < 2e-4

    rows = [source[0].tolist(), source[1, :11].tolist()]
    made = generate(model, [[0], [0]], new_tokens=64, sources=rows)
    for row, new in zip(rows, made):
        with torch.no_grad():
            wanted = reference.generate(
                torch.tensor([row]), max_new_tokens=64, min_new_tokens=64, do_sample=False, eos_token_id=None,
                use_cache=False,  # their cache is made for as many layers as the encoder has
            )[0, 1:].tolist()
        assert new == wanted
    there_and_back(family, config, model, tmp_path / "published", tmp_path / "again")
    again = theirs("AutoModelForSeq2SeqLM", tmp_path / "again")
    assert np.array_equal(asked(again, input_ids=source, decoder_input_ids=target), expected)


def goldens() -> dict[str, Any]:
    found = {}
    for name, values in (MASKED | SEQUENCE).items():
        with tempfile.TemporaryDirectory() as directory:
            write(Path(directory), values)
            if name in MASKED:
                logits = asked(theirs("AutoModelForMaskedLM", Path(directory)), input_ids=drawn(97, 2, 12))
            else:
                model = theirs("AutoModelForSeq2SeqLM", Path(directory))
                logits = asked(model, input_ids=drawn(97, 2, 12), decoder_input_ids=drawn(97, 2, 7))
        found[name] = [[round(float(value), 5) for value in row] for row in logits[:, -1, :16]]
    return found


if __name__ == "__main__":
    GOLDENS.write_text(json.dumps(goldens(), indent=1) + "\n")
