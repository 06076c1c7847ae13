"""GPT-2 (Radford 2019)."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.attention import Attention
from model.config import TransformerConfig
from model.families.activations import ACTIVATIONS, published_activation
from model.families.family import Family
from model.families.forms import HeadsIn, HeadsOut, HeadVectors, Joined, Then, Transposed
from model.families.link import Link, link
from model.families.published import Published
from model.feedforward import MLP
from model.norms import LayerNorm
from model.parametrization import Standard
from model.positions import Learned
from model.precision import Precision


def _gpt2(layers: int, embed: int, heads: int) -> dict[str, Any]:
    return {"n_layer": layers, "n_embd": embed, "n_head": heads, "n_positions": 1024, "vocab_size": 50_257}


class GPT2(Family):
    """LayerNorm, learned positions, GELU, biases everywhere, matrices as torch's Conv1D keeps them: [in, out]."""

    name = "gpt2"
    architectures = ("GPT2LMHeadModel",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpt2": _gpt2(12, 768, 12),
        "gpt2-medium": _gpt2(24, 1024, 16),
        "gpt2-large": _gpt2(36, 1280, 20),
        "gpt2-xl": _gpt2(48, 1600, 25),
    }
    # The files that OpenAI's weights were first published in do not have it.
    prefix = "transformer."

    def config(self, published: Published) -> TransformerConfig:
        """Reads a GPT2Config."""
        get, embed = published.get, published.get("n_embd")
        published.only("scale_attn_weights", True)
        published.only("scale_attn_by_inverse_layer_idx", False)
        published.only("add_cross_attention", False)
        activation = published.choice("activation_function", ACTIVATIONS, "gelu_new")
        return TransformerConfig(
            layers=get("n_layer"),
            embed=embed,
            vocab=get("vocab_size"),
            attention=Attention(
                heads=get("n_head"),
                positions=Learned(get("n_positions", 1024)),
                bias=True,
                output_bias=True,
            ),
            feedforward=MLP(get("n_inner", 4 * embed), activation, bias=True),
            norm=LayerNorm(get("layer_norm_epsilon", 1e-5), bias=True),
            tie_embeddings=bool(get("tie_word_embeddings", True)),
            parametrization=Standard(get("initializer_range", 0.02)),
            precision=Precision(compute="float32"),
        )

    def published(self, config: TransformerConfig) -> dict[str, Any]:
        """Writes a GPT2Config."""
        attention = self.part(config.attention.at(0), Attention, "attention")
        feedforward = self.part(config.feedforward.at(0), MLP, "feedforward")
        positions = self.part(attention.positions, Learned, "attention.positions")
        values = {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "n_layer": config.layers,
            "n_embd": config.embed,
            "n_head": attention.heads,
            "n_inner": feedforward.hidden,
            "n_positions": positions.length,
            "vocab_size": config.vocab,
            "activation_function": published_activation(feedforward.activation, "gelu_new"),
            "layer_norm_epsilon": self.part(config.norm, LayerNorm, "norm").eps,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.parametrization.std,
        }
        return self.confirm(config, values)

    def outer_links(self, config: TransformerConfig) -> Iterator[Link]:
        """Embedding, positions, final norm, and unembedding unless tied."""
        yield link("embedding", "transformer.wte.weight")
        yield link("positions.0.table", "transformer.wpe.weight")
        yield link("final_norm.scale", "transformer.ln_f.weight")
        yield link("final_norm.bias", "transformer.ln_f.bias")
        if not config.tie_embeddings:
            yield link("unembedding", "lm_head.weight", Transposed())

    def block_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Norms, attention, feed-forward."""
        ours, theirs, embed = f"blocks.{block}", f"transformer.h.{block}", config.embed
        heads = config.attention.at(block).heads
        for norm, name in (("before0", "ln_1"), ("before1", "ln_2")):
            yield link(f"{ours}.norms.{norm}.scale", f"{theirs}.{name}.weight")
            yield link(f"{ours}.norms.{norm}.bias", f"{theirs}.{name}.bias")
        roles = [f"{ours}.attention.{role}" for role in ("query", "key", "value")]
        matrices = Joined((embed,) * 3, (Then(Transposed(), HeadsIn(heads)),) * 3, axis=1)
        yield Link(tuple(roles), (f"{theirs}.attn.c_attn.weight",), matrices)
        vectors = Joined((embed,) * 3, (HeadVectors(heads),) * 3)
        yield Link(tuple(f"{role}_bias" for role in roles), (f"{theirs}.attn.c_attn.bias",), vectors)
        yield link(f"{ours}.attention.output", f"{theirs}.attn.c_proj.weight", Then(Transposed(), HeadsOut(heads)))
        yield link(f"{ours}.attention.output_bias", f"{theirs}.attn.c_proj.bias")
        for matrix, name in (("up", "c_fc"), ("down", "c_proj")):
            yield link(f"{ours}.feedforward.{matrix}", f"{theirs}.mlp.{name}.weight")
            yield link(f"{ours}.feedforward.{matrix}_bias", f"{theirs}.mlp.{name}.bias")

    def surplus(self, config: TransformerConfig, name: str) -> bool:
        """Old files hold the causal masks; tied ones may hold the unembedding again."""
        buffers = (".attn.bias", ".attn.masked_bias")
        return name.endswith(buffers) or (config.tie_embeddings and name == "lm_head.weight")
