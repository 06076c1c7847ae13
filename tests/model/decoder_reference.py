"""A decoder written from its formulas in NumPy float64, block by block, one row at a time."""

from typing import Any

import numpy as np

from model.attention import Attention
from model.config import TransformerConfig
from model.families.transfer import tensors_from
from model.feedforward import MLP, GatedMLP
from model.masks import Places
from model.norms import LayerNorm, Norm, RMSNorm
from model.positions import Rope
from model.qk_norm import AcrossHeads, PerHead
from model.residual import DeepNorm, OutputNorm, Parallel, PostNorm, PreNorm, SandwichNorm
from model.transformer import DecoderLM

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x / (1 + np.exp(-x)), "tanh": np.tanh,
    "identity": lambda x: x, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu_squared": lambda x: np.maximum(x, 0) ** 2,
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
}  # fmt: skip


def wide_weights(model: DecoderLM) -> dict[str, np.ndarray]:
    """Every tensor by name (`blocks.3.attention.query`), float64."""
    tensors, read = tensors_from(model)
    return {name: np.asarray(read(name), np.float64) for name in tensors}


def normalised(spec: Norm, w: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """Of the last axis."""
    scale = w[f"{name}.scale"].reshape(-1)
    if isinstance(spec, RMSNorm):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + spec.eps) * (spec.offset + scale)
    assert isinstance(spec, LayerNorm)
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + spec.eps) * scale
    return y + w[f"{name}.bias"].reshape(-1) if spec.bias else y


def attended(spec: Attention, w: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """[seq, embed] to the same."""

    def heads(role: str) -> np.ndarray:
        y = np.einsum("se,end->snd", x, w[f"{name}.{role}"])
        y = y + w[f"{name}.{role}_bias"] if spec.bias else y
        if role == "value":
            return y
        if isinstance(spec.qk_norm, PerHead):
            y = normalised(spec.qk_norm.norm, w, f"{name}.{role}_norm", y)
        if isinstance(spec.qk_norm, AcrossHeads):
            flat = y.reshape(len(y), -1)
            y = normalised(spec.qk_norm.norm, w, f"{name}.{role}_norm.norm", flat).reshape(y.shape)
        if isinstance(spec.positions, Rope):
            half = y.shape[-1] // 2
            angle = np.outer(np.arange(len(y)), spec.positions.theta ** (-np.arange(half) / half))[:, None]
            turned = (y[..., :half] + 1j * y[..., half:]) * np.exp(1j * angle)
            y = np.concatenate([turned.real, turned.imag], -1)
        return y

    q, k, v = heads("query"), heads("key"), heads("value")
    index = np.arange(len(x))
    seen = np.broadcast_to(spec.mask.allowed(Places(index[:, None]), Places(index[None])), (len(x), len(x)))
    y = np.zeros_like(x)
    for h in range(spec.heads):
        shared = h // (spec.heads // spec.key_heads)
        for t in range(len(x)):
            keys = [s for s in range(len(x)) if seen[t, s]]
            score = k[keys, shared] @ q[t, h] * (spec.scale or 1 / np.sqrt(q.shape[-1]))
            score = spec.softcap * np.tanh(score / spec.softcap) if spec.softcap else score
            total = np.exp(score).sum() + (np.exp(w[f"{name}.sinks"][h]) if spec.sinks else 0)
            y[t] += (np.exp(score) / total) @ v[keys, shared] @ w[f"{name}.output"][h]
    return y + w[f"{name}.output_bias"] if spec.output_bias else y


def fed(spec: Any, w: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """[seq, embed] to the same."""

    def through(role: str, y: np.ndarray) -> np.ndarray:
        y = y @ w[f"{name}.{role}"]
        return y + w[f"{name}.{role}_bias"] if spec.bias else y

    act = ACTIVATIONS[spec.activation]
    if isinstance(spec, GatedMLP):
        return through("down", act(through("gate", x)) * through("up", x))
    assert isinstance(spec, MLP)
    return through("down", act(through("up", x)))


def joined(config: TransformerConfig, w: dict[str, np.ndarray], name: str, x: np.ndarray, layers: list) -> np.ndarray:
    """One block by the formula of its residual."""
    spec = config.residual

    def norm(which: str, y: np.ndarray) -> np.ndarray:
        return normalised(config.norm, w, f"{name}.norms.{which}", y)

    if isinstance(spec, Parallel):
        return x + sum(layer(norm(f"before{0 if spec.shared else i}", x)) for i, layer in enumerate(layers))
    for i, layer in enumerate(layers):
        match spec:
            case PreNorm(scale):
                x = x + scale * layer(norm(f"before{i}", x))
            case PostNorm(scale):
                x = norm(f"after{i}", scale * x + layer(x))
            case DeepNorm(depth):
                x = norm(f"after{i}", (2 * depth) ** 0.25 * x + layer(x))
            case OutputNorm():
                x = x + norm(f"after{i}", layer(x))
            case SandwichNorm():
                x = x + norm(f"after{i}", layer(norm(f"before{i}", x)))
    return x


def logits_of(
    config: TransformerConfig, w: dict[str, np.ndarray], tokens: np.ndarray, types: np.ndarray | None = None
) -> np.ndarray:
    """Tokens [seq] to logits [seq, vocab]."""
    x = w["embedding"][tokens] * config.embedding.scale
    if config.embedding.types:
        x = x + w["types"][np.zeros_like(tokens) if types is None else types]
    if config.embedding.norm is not None:
        x = normalised(config.embedding.norm, w, "embedding_norm", x)
    for i in range(config.layers):
        block, name = config.blocks[i], f"blocks.{i}"
        layers = [
            lambda y, b=block, n=name: attended(b.attention, w, f"{n}.attention", y),
            lambda y, b=block, n=name: fed(b.feedforward, w, f"{n}.feedforward", y),
        ]
        x = joined(config, w, name, x, layers)
    if config.residual.final_norm:
        x = normalised(config.norm, w, "final_norm", x)
    x = x * config.logits.scale @ (w["embedding"].T if config.tie_embeddings else w["unembedding"])
    x = x + w["logits_bias"] if config.logits.bias else x
    return config.logits.softcap * np.tanh(x / config.logits.softcap) if config.logits.softcap else x
