"""Waves, slopes and buckets against transformers itself, which also made the goldens of the default suite.

Needs the extra `parity`. The goldens are written anew by

    PYTHONPATH=. python tests/model/parity/test_positions.py
"""

import json
import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from data.spec import describe
from model.attention_bias import alibi_slopes
from model.positions import Alibi, Sinusoidal, T5Bias, TimingSignal

pytestmark = pytest.mark.slow
GOLDENS = Path(__file__).parents[1] / "goldens" / "positions.json"


def waves(spec: Sinusoidal, rows: int, embed: int) -> np.ndarray:
    """What transformers adds to the input."""
    import torch
    from transformers.models.fsmt.modeling_fsmt import SinusoidalPositionalEmbedding
    from transformers.models.xlm.modeling_xlm import create_sinusoidal_embeddings

    if isinstance(spec, TimingSignal):
        return SinusoidalPositionalEmbedding.get_embedding(rows, embed, None).numpy()
    return create_sinusoidal_embeddings(rows, embed, torch.empty(rows, embed)).numpy()


def buckets(spec: T5Bias, offsets: np.ndarray) -> np.ndarray:
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    found = T5Attention._relative_position_bucket(
        torch.from_numpy(offsets), spec.bidirectional, spec.buckets, spec.max_distance
    )
    return found.numpy()


def reference() -> dict[str, Any]:
    """All that the default suite compares with."""
    offsets = np.arange(-140, 141)
    t5 = [
        {"spec": describe(spec), "buckets": buckets(spec, offsets).tolist()}
        for spec in (T5Bias(), T5Bias(bidirectional=True), T5Bias(16, 100))
    ]
    added = [
        {"spec": describe(spec), "rows": waves(spec, 300, 6)[[0, 1, 2, 77, 299]].tolist()}
        for spec in (Sinusoidal(), TimingSignal())
    ]
    return {"t5": t5, "waves": added}


@pytest.fixture(scope="module", autouse=True)
def transformers() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


def test_goldens_are_those_of_this_version() -> None:
    stored, fresh = json.loads(GOLDENS.read_text()), reference()
    assert stored["t5"] == fresh["t5"]
    for case, new in zip(stored["waves"], fresh["waves"], strict=True):
        assert case["spec"] == new["spec"]
        np.testing.assert_allclose(case["rows"], new["rows"], atol=1e-6)


def test_buckets_are_those_of_t5() -> None:
    offsets, compared = np.arange(-3000, 3001), 0
    for both in (False, True):
        for count in (4, 8, 16, 32, 64, 128):
            for far in (100, 128, 200, 256, 512, 1000, 2048):
                spec = T5Bias(count, far, both)
                np.testing.assert_array_equal(spec.bucket(offsets), buckets(spec, offsets))
                compared += offsets.size
    print(f"\nbuckets: all {compared} alike", end="")


def test_slopes_are_those_of_bloom_and_mpt() -> None:
    import torch
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    for heads in range(1, 130):
        theirs = -build_mpt_alibi_tensor(heads, 2)[:, 0, 0].numpy()
        np.testing.assert_allclose(alibi_slopes(heads), theirs, rtol=3e-7)
    index = jnp.arange(9)[None]
    found = np.asarray(Alibi().at_logits(None, 12, index, index))[0]
    theirs = build_alibi_tensor(torch.ones(1, 9, dtype=torch.int64), 12, torch.float32).numpy()
    # Bloom adds slope * key: the same but for a constant in each row, which a softmax does not see.
    seen = np.tril(np.ones((9, 9), bool))
    rest = np.where(seen, found - theirs, 0)
    np.testing.assert_allclose(rest, np.where(seen, rest[:, :, :1], 0), atol=1e-6)
    assert math.isclose(found[0, 8, 0] - found[0, 8, 1], -alibi_slopes(12)[0], rel_tol=1e-6)


def test_waves_are_those_of_xlm_and_fsmt() -> None:
    positions = jnp.arange(512)[None]
    for spec in (Sinusoidal(), TimingSignal()):
        for embed in (6, 64):
            apart = np.abs(spec.waves(positions, embed)[0] - waves(spec, 512, embed)).max()
            print(f"\n{spec}, {embed} features, 512 positions: within {apart:.1e}", end="")
            assert apart < 1e-4


if __name__ == "__main__":
    sections = [
        f'"{name}": [\n ' + ",\n ".join(map(json.dumps, cases)) + "\n]" for name, cases in reference().items()
    ]
    GOLDENS.write_text("{\n" + ",\n".join(sections) + "\n}\n")
