"""GPT-NeoX (Black 2022) and Pythia (Biderman 2023)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.activations import ACTIVATIONS, published_activation
from model.families.family import Family
from model.families.forms import HeadsIn, HeadsOut, HeadVectors, JoinedByHead, Transposed
from model.families.link import Link, link
from model.families.published import Published
from model.families.rope import published_rope, rope
from model.feedforward import MLP
from model.norms import LayerNorm
from model.parametrization import Standard
from model.precision import Precision
from model.residual import Parallel, PreNorm


def _neox(layers: int, embed: int, heads: int, vocab: int, **others: Any) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers, "hidden_size": embed, "num_attention_heads": heads, "intermediate_size": 4 * embed,
        "vocab_size": vocab, "max_position_embeddings": 2048, "rotary_pct": 0.25, **others,
    }  # fmt: skip


class GPTNeoX(Family):
    """Attention and feed-forward side by side, each with its LayerNorm; a quarter of each head turns."""

    name = "gpt_neox"
    architectures = ("GPTNeoXForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "pythia-70m": _neox(6, 512, 8, 50_304),
        "pythia-160m": _neox(12, 768, 12, 50_304),
        "pythia-410m": _neox(24, 1024, 16, 50_304),
        "pythia-1b": _neox(16, 2048, 8, 50_304),
        "pythia-1.4b": _neox(24, 2048, 16, 50_304),
        "pythia-2.8b": _neox(32, 2560, 32, 50_304),
        "pythia-6.9b": _neox(32, 4096, 32, 50_432),
        "pythia-12b": _neox(36, 5120, 40, 50_688),
        "gpt-neox-20b": _neox(44, 6144, 64, 50_432, hidden_act="gelu_fast"),
    }

    def config(self, published: Published) -> TransformerConfig:
        """Reads a GPTNeoXConfig."""
        get = published.get
        bias, theta = bool(get("attention_bias", True)), float(get("rotary_emb_base", 10_000))
        return TransformerConfig(
            layers=get("num_hidden_layers"),
            embed=get("hidden_size"),
            vocab=get("vocab_size"),
            attention=Attention(
                heads=get("num_attention_heads"),
                positions=rope(published, fraction=get("rotary_pct", 0.25), theta=theta),
                bias=bias,
                output_bias=bias,
            ),
            feedforward=MLP(get("intermediate_size"), published.choice("hidden_act", ACTIVATIONS, "gelu"), bias=True),
            norm=LayerNorm(get("layer_norm_eps", 1e-5), bias=True),
            residual=Parallel(shared=False) if get("use_parallel_residual", True) else PreNorm(),
            tie_embeddings=bool(get("tie_word_embeddings", False)),
            parametrization=Standard(get("initializer_range", 0.02)),
            precision=Precision(compute="float32"),
        )

    def published(self, config: TransformerConfig) -> dict[str, Any]:
        """Writes a GPTNeoXConfig."""
        attention = self.part(config.attention.at(0), Attention, "attention")
        feedforward = self.part(config.feedforward.at(0), MLP, "feedforward")
        rotary = published_rope(attention.positions)
        values = {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "num_hidden_layers": config.layers,
            "hidden_size": config.embed,
            "num_attention_heads": attention.heads,
            "intermediate_size": feedforward.hidden,
            "vocab_size": config.vocab,
            "hidden_act": published_activation(feedforward.activation, "gelu", "gelu_fast"),
            "layer_norm_eps": self.part(config.norm, LayerNorm, "norm").eps,
            "use_parallel_residual": isinstance(config.residual, Parallel),
            "attention_bias": attention.bias,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.parametrization.std,
            "rotary_emb_base": rotary.pop("rope_theta"),
            "rotary_pct": rotary.pop("partial_rotary_factor", 1.0),
            **rotary,
        }
        return self.confirm(config, values)

    def outer_links(self, config: TransformerConfig) -> Iterator[Link]:
        """Embedding, final norm, and unembedding unless tied."""
        yield link("embedding", "gpt_neox.embed_in.weight")
        yield link("final_norm.scale", "gpt_neox.final_layer_norm.weight")
        yield link("final_norm.bias", "gpt_neox.final_layer_norm.bias")
        if not config.tie_embeddings:
            yield link("unembedding", "embed_out.weight", Transposed())

    def block_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Norms, attention, feed-forward."""
        ours, theirs = f"blocks.{block}", f"gpt_neox.layers.{block}"
        spec: Attention = config.attention.at(block)
        for norm, name in (("before0", "input_layernorm"), ("before1", "post_attention_layernorm")):
            yield link(f"{ours}.norms.{norm}.scale", f"{theirs}.{name}.weight")
            yield link(f"{ours}.norms.{norm}.bias", f"{theirs}.{name}.bias")
        roles = [f"{ours}.attention.{role}" for role in ("query", "key", "value")]
        fused = f"{theirs}.attention.query_key_value"
        yield Link(tuple(roles), (f"{fused}.weight",), JoinedByHead(spec.heads, (HeadsIn(spec.heads),) * 3))
        yield link(f"{ours}.attention.output", f"{theirs}.attention.dense.weight", HeadsOut(spec.heads))
        if spec.bias:
            biases = tuple(f"{role}_bias" for role in roles)
            yield Link(biases, (f"{fused}.bias",), JoinedByHead(spec.heads, (HeadVectors(spec.heads),) * 3))
            yield link(f"{ours}.attention.output_bias", f"{theirs}.attention.dense.bias")
        for matrix, name in (("up", "dense_h_to_4h"), ("down", "dense_4h_to_h")):
            yield link(f"{ours}.feedforward.{matrix}", f"{theirs}.mlp.{name}.weight", Transposed())
            yield link(f"{ours}.feedforward.{matrix}_bias", f"{theirs}.mlp.{name}.bias")

    def surplus(self, config: TransformerConfig, name: str) -> bool:
        """Old files hold causal masks and rotary frequencies; tied ones may hold the unembedding again."""
        buffers = (".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
        return name.endswith(buffers) or (config.tie_embeddings and name in ("embed_out.weight", "lm_head.weight"))
