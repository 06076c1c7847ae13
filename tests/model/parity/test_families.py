"""Every family against transformers itself, live: logits, generation, and the way there and back.

Needs the extra `parity`. The goldens of the default suite are written anew by

    PYTHONPATH=. python tests/model/parity/test_families.py

and the figures are printed by

    python -m pytest -m slow -s tests/model/parity/test_families.py
"""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from model import decoding
from model.families.tensor_files import TensorFiles
from model.families.transfer import PublishedModel, export, load, tensors_from
from tests.model.families.cases import CASES
from tests.model.families.published_models import drawn, goldens_of, write

pytestmark = pytest.mark.slow
GOLDENS = Path(__file__).parents[1] / "goldens" / "families.json"
FAR = 150
QUICK = {"xla_backend_optimization_level": 0}


def theirs(directory: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[parity]'")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype="float32", attn_implementation="eager", output_loading_info=True
    )
    assert not any(info.get(kind) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval()


def their_logits(model: Any, tokens: np.ndarray, mask: np.ndarray | None = None, start: int = 0) -> np.ndarray:
    import torch

    given = {"input_ids": torch.tensor(tokens, dtype=torch.long)}
    if mask is not None:
        given["attention_mask"] = torch.tensor(mask, dtype=torch.long)
    if start:
        given["position_ids"] = torch.arange(start, start + tokens.shape[1])[None].expand(tokens.shape[0], -1)
    with torch.no_grad():
        return model(**given, use_cache=False).logits.numpy()


@functools.partial(jax.jit, compiler_options=QUICK)
def our_logits(model: Any, tokens: Any, positions: Any) -> Any:
    return model(tokens, positions)


@pytest.fixture(autouse=True)
def quickly_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run once here, so the time goes into compiling them."""
    names = ("graph", "sampler", "new_tokens")
    quick = jax.jit(decoding._generate.__wrapped__, static_argnames=names, compiler_options=QUICK)
    monkeypatch.setattr(decoding, "_generate", quick)


@pytest.mark.parametrize("name", CASES)
def test_family(name: str, tmp_path: Path) -> None:
    values = CASES[name]
    family = write(tmp_path / "published", values, shard_bytes=60_000)
    reference = theirs(tmp_path / "published")
    config, model = load(tmp_path / "published")
    tokens = drawn(values["vocab_size"], 3, 41)

    # Plain rows, rows padded on the right, and positions past the original context.
    position = np.broadcast_to(np.arange(41, dtype=np.int32), tokens.shape)
    expected = their_logits(reference, tokens)
    difference = np.abs(our_logits(model, tokens, position) - expected).max()
    lengths = np.array([41, 17, 5])
    mask = (np.arange(41) < lengths[:, None]).astype(np.int64)
    padded = np.where(mask, tokens, 0).astype(np.int32)
    real = mask.astype(bool)
    ragged = np.abs(our_logits(model, padded, position)[real] - their_logits(reference, padded, mask)[real]).max()
    late = 0.0
    if config.longest is None or config.longest[0] >= FAR + 41:
        late = np.abs(our_logits(model, tokens, position + FAR) - their_logits(reference, tokens, start=FAR)).max()
    spread = np.abs(expected).max()
    print(f"{name:16} logits up to {spread:5.2f}; differences {difference:.1e}, padded {ragged:.1e}, late {late:.1e}")
    assert 0.5 < spread < 50 and max(difference, ragged, late) < 2e-4

    # Greedy generation of 64 tokens, from prompts of different lengths.
    import torch

    prompts = [tokens[0, :9].tolist(), tokens[1, :4].tolist()]
    ours = decoding.generate(model, prompts, new_tokens=64)
    for prompt, made in zip(prompts, ours):
        with torch.no_grad():
            row = reference.generate(
                torch.tensor([prompt]), max_new_tokens=64, min_new_tokens=64, do_sample=False, pad_token_id=0,
                eos_token_id=None,
            )[0, len(prompt) :].tolist()
        assert made == row

    # Import then export gives the same bits; what is exported from memory loads there and says the same.
    (tmp_path / "again").mkdir()
    _, read = tensors_from(model)
    export(family, config, read, lambda _: np.dtype(np.float32), tmp_path / "again")
    one, other = TensorFiles(tmp_path / "published"), TensorFiles(tmp_path / "again")
    assert sorted(one.names()) == sorted(other.names())
    for tensor in one.names():
        assert one.read(tensor).tobytes() == other.read(tensor).tobytes(), tensor
    assert np.array_equal(their_logits(theirs(tmp_path / "again"), tokens), expected)
    assert PublishedModel(tmp_path / "again").config == config


def goldens() -> dict[str, Any]:
    import tempfile

    found = {}
    for name, values in goldens_of(CASES).items():
        with tempfile.TemporaryDirectory() as directory:
            write(Path(directory), values)
            logits = their_logits(theirs(Path(directory)), drawn(values["vocab_size"], 2, 12))
        # The last token of each row sees all of it.
        found[name] = [[round(float(value), 5) for value in row] for row in logits[:, -1, :16]]
    return found


if __name__ == "__main__":
    GOLDENS.write_text(json.dumps(goldens(), indent=1) + "\n")
