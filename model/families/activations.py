"""Names of activations: those of a config.json, and ours."""

from collections.abc import Mapping

from model.families.published import FamilyError

# transformers has several programs for the same formula.
ACTIVATIONS: Mapping[str, str] = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_python_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "relu": "relu",
    "relu2": "relu_squared", "sigmoid": "sigmoid", "tanh": "tanh", "linear": "identity",
}  # fmt: skip


def published_activation(name: str, *preferred: str) -> str:
    """The name in a config.json of an activation of ours.

    Args:
      name: ours.
      preferred: the names that the family uses, of programs that compute the same but for rounding.

    Raises FamilyError if there is none.
    """
    names = [theirs for theirs, ours in ACTIVATIONS.items() if ours == name]
    if not names:
        raise FamilyError(f"the activation '{name}' has no published name; those of {', '.join(ACTIVATIONS)} have")
    return next((theirs for theirs in preferred if theirs in names), names[0])
