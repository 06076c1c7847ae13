"""What an attention layer may look like; its numbers are tested with the whole transformer."""

import pytest

from model.attention import Attention
from model.positions import NoPositions, Rope


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 0}, "Attention.heads is 0"),
        ({"heads": 4, "kv_heads": 3}, "Attention.heads is 4, which Attention.kv_heads .3. does not"),
        ({"heads": 4, "kv_heads": 8}, "Attention.heads is 4, which Attention.kv_heads .8. does not"),
        ({"heads": 4, "kv_heads": -2}, "Attention.kv_heads is -2"),
        ({"heads": 4, "head_dim": 5}, "head_dim is 5; Rope"),
    ],
)
def test_bad_attention(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Attention(**arguments)


def test_sizes_that_follow_from_others() -> None:
    attention = Attention(6, kv_heads=2)
    assert (attention.key_heads, attention.features(48)) == (2, 8)
    assert Attention(6).key_heads == 6 and Attention(6, head_dim=10).features(50) == 10
    # Queries and output of 6 heads, keys and values of 2, each 48 x 8.
    assert attention.matmul_weights(48) == 48 * 8 * (6 + 6 + 2 + 2)
    with pytest.raises(ValueError, match="embed is 50, which Attention.heads .6. does not divide"):
        attention.features(50)
    with pytest.raises(ValueError, match="head_dim is 7"):
        Attention(6, positions=Rope()).features(42)
    assert Attention(6, positions=NoPositions()).features(42) == 7
