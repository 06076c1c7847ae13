"""Llama and Mistral: configs both ways, what is refused, and logits against stored ones of transformers."""

from typing import Any

import pytest

from model.attention import Attention
from model.families.llama import Llama, Mistral
from model.families.published import FamilyError, Published
from model.families.transfer import abstract
from model.feedforward import GatedMLP
from model.masks import Causal, SlidingWindow
from model.norms import RMSNorm
from model.positions import Llama3Scaling, Rope
from model.precision import Precision
from model.transformer import TransformerConfig
from tests.model.families.cases import LLAMA

FAMILY = {"llama": Llama(), "llama3.1": Llama(), "mistral": Mistral()}


def test_a_config_means_what_it_says() -> None:
    assert Llama().config(Published(LLAMA["llama3.1"])) == TransformerConfig(
        layers=3, embed=48, vocab=97,
        attention=Attention(
            4, kv_heads=1, head_dim=16, mask=Causal(), positions=Rope(500_000.0, Llama3Scaling(8.0, 1.0, 4.0, 32)),
            bias=True, output_bias=True,
        ),
        feedforward=GatedMLP(80, "silu", bias=True), norm=RMSNorm(1e-5), precision=Precision(compute="float32"),
    )  # fmt: skip
    assert Mistral().config(Published(LLAMA["mistral"])).attention.mask == Causal() & SlidingWindow(7)
    unbounded = Mistral().config(Published({**LLAMA["mistral"], "sliding_window": None}))
    assert unbounded.attention.mask == Causal()


@pytest.mark.parametrize("name", FAMILY)
def test_a_config_comes_back(name: str) -> None:
    family = FAMILY[name]
    config = family.config(Published(LLAMA[name]))
    again = family.published(config)
    assert family.config(Published(again)) == config
    kept = {key: LLAMA[name][key] for key in LLAMA[name] if key in again and key != "rope_scaling"}
    assert kept.pop("max_position_embeddings", 256) == 256
    assert {key: again[key] for key in kept} == kept


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu"}, "has hidden_act='gelu'; only 'silu' is supported"),
        ({"pretraining_tp": 2}, "has pretraining_tp=2; only 1 is supported"),
        ({"hidden_size": None}, "lacks 'hidden_size'"),
        ({"rope_scaling": {"rope_type": "odd"}}, "has the rope type 'odd'"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FamilyError, match=message):
        Llama().config(Published({**LLAMA["llama"], **changes}))


def test_links_cover_the_model_and_old_buffers_are_passed_over() -> None:
    for name, family in FAMILY.items():
        config = family.config(Published(LLAMA[name]))
        assert abstract(family, config) is not None
        theirs = [name for link in family.links(config) for name in link.theirs]
        assert len(theirs) == len(set(theirs))
        assert ("lm_head.weight" in theirs) is not config.tie_embeddings
        assert family.surplus(config, "lm_head.weight") is config.tie_embeddings
        assert family.surplus(config, "model.layers.0.self_attn.rotary_emb.inv_freq")
        assert not family.surplus(config, "model.layers.9.mlp.up_proj.weight")
