"""Names of activations are ours, and come back."""

import pytest

from model.families.activations import ACTIVATIONS, published_activation
from model.families.published import FamilyError
from model.feedforward import ACTIVATIONS as OURS


def test_names() -> None:
    assert set(ACTIVATIONS.values()) == set(OURS)
    for name in OURS:
        assert ACTIVATIONS[published_activation(name)] == name
    assert published_activation("gelu_tanh", "gelu_pytorch_tanh") == "gelu_pytorch_tanh"
    assert published_activation("gelu", "gelu_new") == "gelu"
    assert published_activation("gelu_tanh", "gelu", "gelu_fast") == "gelu_fast"
    with pytest.raises(FamilyError, match="^the activation 'mish' has no published name; those of silu, "):
        published_activation("mish")
