"""Presets have the published number of parameters; configs come back as they were; what is not supported is refused."""

import dataclasses
import math
from typing import Any

import jax
import pytest
from flax import nnx

from model.families.family import Family
from model.families.published import FamilyError, Published
from model.families.registry import FAMILIES, family_named, family_of
from model.families.transfer import abstract
from model.feedforward import GatedMLP
from model.norms import LayerNorm
from model.positions import Alibi, DynamicNTK, Rope
from model.residual import PostNorm
from tests.model.families.cases import CASES

# Parameters as Hugging Face counts them in the safetensors files of each model's page. Pythia: the table of
# github.com/EleutherAI/pythia. GPT-2: OpenAI's weights, 124M to 1558M. Gemma 3 from 4B on: those of the page
# less the vision tower and the projector, see `_text`. Qwen3 up to 1.7B: the page counts the tied table twice.
COUNTS = {
    "gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200,
    "pythia-70m": 70_426_624, "pythia-160m": 162_322_944, "pythia-410m": 405_334_016, "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808, "pythia-2.8b": 2_775_208_960, "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320, "gpt-neox-20b": 20_554_567_680,
    "Llama-2-7b": 6_738_415_616, "Llama-2-13b": 13_015_864_320, "Llama-2-70b": 68_976_648_192,
    "Llama-3-8B": 8_030_261_248, "Llama-3-70B": 70_553_706_496, "Llama-3.1-8B": 8_030_261_248,
    "Llama-3.1-70B": 70_553_706_496, "Llama-3.1-405B": 405_853_388_800, "Llama-3.2-1B": 1_235_814_400,
    "Llama-3.2-3B": 3_212_749_824, "Mistral-7B-v0.1": 7_241_732_096, "Mistral-7B-v0.3": 7_248_023_552,
    "Qwen2-0.5B": 494_032_768, "Qwen2-1.5B": 1_543_714_304, "Qwen2-7B": 7_615_616_512, "Qwen2-72B": 72_706_203_648,
    "Qwen2.5-0.5B": 494_032_768, "Qwen2.5-1.5B": 1_543_714_304, "Qwen2.5-3B": 3_085_938_688,
    "Qwen2.5-7B": 7_615_616_512, "Qwen2.5-14B": 14_770_033_664, "Qwen2.5-32B": 32_763_876_352,
    "Qwen2.5-72B": 72_706_203_648, "Qwen3-0.6B": 751_632_384 - 151_936 * 1024,
    "Qwen3-1.7B": 2_031_739_904 - 151_936 * 2048, "Qwen3-4B": 4_022_468_096, "Qwen3-8B": 8_190_735_360,
    "Qwen3-14B": 14_768_307_200, "Qwen3-32B": 32_762_123_264,
    "gemma-2b": 2_506_172_416, "gemma-7b": 8_537_680_896, "gemma-2-2b": 2_614_341_888, "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320, "gemma-3-1b": 999_885_952, "gemma-3-4b": 4_300_079_472,
    "gemma-3-12b": 12_187_325_040, "gemma-3-27b": 27_432_406_640,
    "Phi-3-mini-4k": 3_821_079_552, "Phi-3.5-mini": 3_821_079_552, "Phi-3-medium-4k": 13_960_238_080,
    "OLMo-2-0425-1B": 1_484_916_736, "OLMo-2-1124-7B": 7_298_617_344, "OLMo-2-1124-13B": 13_716_198_400,
    "OLMo-2-0325-32B": 32_234_279_936,
}  # fmt: skip
PRESETS = [(family, name) for family in FAMILIES for name in family.presets if name in COUNTS]


def _text(name: str, embed: int) -> int:
    """What of the published count is text: Gemma 3 from 4B on has SigLIP's 416,866,032 and a projector besides."""
    seeing = name.startswith("gemma-3-") and not name.endswith("-1b")
    return COUNTS[name] - seeing * (416_866_032 + 1152 + 1152 * embed)


def check_count(family: Family, name: str) -> None:
    config = family.preset(name)
    weights = nnx.state(abstract(family, config), nnx.Param)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(weights)) == _text(name, config.embed)


def test_counted_presets_are_there() -> None:
    assert {name for _, name in PRESETS} == COUNTS.keys()


@pytest.mark.parametrize(("family", "name"), PRESETS, ids=[name for _, name in PRESETS])
def test_a_preset_is_written_and_read_again(family: Family, name: str) -> None:
    config = family.preset(name)
    assert family.config(Published(family.published(config))) == config


@pytest.mark.parametrize(
    ("family", "name"), [(family, last) for family in FAMILIES if (last := ["", *family.presets][-1]) in COUNTS]
)
def test_parameters_of_the_largest(family: Family, name: str) -> None:
    check_count(family, name)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "name"), PRESETS, ids=[name for _, name in PRESETS])
def test_parameters(family: Family, name: str) -> None:
    check_count(family, name)


def test_a_preset_that_is_not_there() -> None:
    with pytest.raises(FamilyError, match="^gpt2 has no preset 'gpt3'; it has gpt2, gpt2-medium, "):
        family_named("gpt2").preset("gpt3")


@pytest.mark.parametrize("name", CASES)
def test_a_config_comes_back(name: str) -> None:
    published = Published(CASES[name])
    family = family_of(published)
    config = family.config(published)
    assert family.config(Published(family.published(config))) == config


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("gpt2", {"scale_attn_weights": False}, "has scale_attn_weights=False; only True is supported"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "has scale_attn_by_inverse_layer_idx=True; only False"),
    ("gpt2", {"add_cross_attention": True}, "has add_cross_attention=True; only False is supported"),
    ("gpt2", {"activation_function": "mish"}, "has activation_function='mish'; supported are silu, "),
    ("pythia", {"hidden_act": "mish"}, "has hidden_act='mish'; supported are silu, "),
    ("llama", {"partial_rotary_factor": 0.5}, "has partial_rotary_factor=0.5; llama turns whole heads"),
    ("qwen2", {"hidden_act": "relu"}, "has hidden_act='relu'; only 'silu' is supported"),
    ("qwen2", {"layer_types": ["sliding_attention"] * 3}, "has sliding_attention in layer_types, and no sliding_"),
    ("qwen3", {"layer_types": ["full_attention"]}, "has 1 layer_types for 3 layers"),
    ("qwen3", {"layer_types": ["chunked_attention"] * 3}, "no layer type 'chunked_attention'; supported are full_"),
    ("gemma", {"hidden_act": "relu"}, "has hidden_act='relu'; only 'gelu_pytorch_tanh' or 'gelu' is supported"),
    ("gemma", {"hidden_activation": "gelu"}, "has hidden_activation='gelu'; only 'gelu_pytorch_tanh'"),
    ("gemma2", {"use_bidirectional_attention": True}, "has use_bidirectional_attention=True; only False"),
    ("gemma2", {"sliding_window": None}, "has sliding_attention in layer_types, and no sliding_window"),
    ("gemma3", {"attn_logit_softcapping": 50.0}, "has attn_logit_softcapping=50.0; only None is supported"),
    ("phi3", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope scaling of the type LinearScaling; phi3 has"),
    ("olmo2", {"hidden_act": "gelu"}, "has hidden_act='gelu'; only 'silu' is supported"),
]


@pytest.mark.parametrize(("name", "changes", "message"), REFUSED)
def test_what_a_config_asks_for_in_vain(name: str, changes: dict[str, Any], message: str) -> None:
    published = Published({**CASES[name], **changes})
    with pytest.raises(FamilyError, match=message):
        family_of(published).config(published)


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma2", "phi3", "gpt2", "pythia"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual": PostNorm()}, "cannot express this model: model.residual is "),
        ({"norm": LayerNorm()}, "cannot express this model: model.norm(.bias)? is "),
        ({"feedforward": GatedMLP(80, "relu")}, "cannot express this model: model.feedforward"),
    ],
)
def test_what_a_family_cannot_express(name: str, changes: dict[str, Any], message: str) -> None:
    published = Published(CASES[name])
    family = family_of(published)
    with pytest.raises(FamilyError, match=f"^{family.name} {message}"):
        family.published(dataclasses.replace(family.config(published), **changes))


def test_positions_that_a_family_cannot_express() -> None:
    phi3, gpt2 = family_named("phi3"), family_named("gpt2")
    config = phi3.preset("Phi-3-mini-4k")
    scaled = dataclasses.replace(config.attention, positions=Rope(scaling=DynamicNTK(2.0, 64)))
    with pytest.raises(FamilyError, match="phi3 has longrope alone"):
        phi3.published(dataclasses.replace(config, attention=scaled))
    config = gpt2.preset("gpt2")
    biased = dataclasses.replace(config.attention, positions=Alibi())
    with pytest.raises(FamilyError, match="^gpt2 cannot .*model.attention.positions is Alibi; this family has Learned"):
        gpt2.published(dataclasses.replace(config, attention=biased))
