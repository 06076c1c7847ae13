"""Gemma 1 (Gemma team 2024)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from model.config import Embedding, TransformerConfig
from model.families.llama import Llama, sizes
from model.families.published import Published
from model.feedforward import FeedForwardPlan
from model.masks import Causal, Mask
from model.norms import Norm, RMSNorm


class Gemma(Llama):
    """Llama with scales of norms stored around 0, embeddings times the root of their width, and GEGLU."""

    name = "gemma"
    architectures = ("GemmaForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gemma-2b": sizes(18, 2048, 8, 1, 16_384, 256_000, head_dim=256, max_position_embeddings=8192),
        "gemma-7b": sizes(28, 3072, 16, 16, 24_576, 256_000, head_dim=256, max_position_embeddings=8192),
    }
    tied = True
    head_dim = 256
    activation = "gelu_tanh"
    activation_names = ("gelu_pytorch_tanh", "gelu")

    def norm(self, published: Published) -> Norm:
        """1 + scale."""
        return RMSNorm(published.get("rms_norm_eps", self.eps), offset=1.0)

    def embedding(self, published: Published) -> Embedding:
        """Scaled by the root of the width."""
        return Embedding(scale=published.get("hidden_size") ** 0.5)

    def feedforward(self, published: Published) -> FeedForwardPlan:
        """GELU's tanh form, also where the key says `gelu`: an error of the first files that nobody follows."""
        published.only("hidden_activation", "gelu_pytorch_tanh")
        return super().feedforward(published)

    def mask(self, published: Published) -> Mask:
        """Causal."""
        published.only("use_bidirectional_attention", False)
        return Causal()

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """There are never biases in feed-forward layers."""
        return {key: value for key, value in super().keys(config).items() if key != "mlp_bias"}
