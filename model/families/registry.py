"""The families, by name and by the model class that a config.json names."""

from typing import Any

from model.families.bert import Bert, Roberta
from model.families.deepseek import DeepSeekV3
from model.families.family import Family
from model.families.gemma import Gemma
from model.families.gemma2 import Gemma2
from model.families.gemma3 import Gemma3
from model.families.gpt2 import GPT2
from model.families.gpt_neox import GPTNeoX
from model.families.gpt_oss import GptOss
from model.families.llama import Llama, Mistral
from model.families.mixtral import Mixtral
from model.families.olmo2 import Olmo2
from model.families.phi3 import Phi3
from model.families.published import FamilyError, Published, understanding
from model.families.qwen import Qwen2, Qwen3
from model.families.qwen3_moe import Qwen3MoE
from model.families.t5 import T5

FAMILIES: tuple[Family, ...] = (
    Llama(), Mistral(), Qwen2(), Qwen3(), Gemma(), Gemma2(), Gemma3(), Phi3(), Olmo2(), GPT2(), GPTNeoX(),
    Mixtral(), Qwen3MoE(), DeepSeekV3(), GptOss(), Bert(), Roberta(), T5(),
)  # fmt: skip


def family_of(published: Published) -> Family:
    """The family of a published model.

    Raises FamilyError, listing what there is, for an architecture that is not known.
    """
    known = {name: family for family in FAMILIES for name in family.architectures}
    if published.architecture not in known:
        raise FamilyError(
            f"{published.place} names the architecture '{published.architecture}'; known are {', '.join(sorted(known))}"
        )
    return known[published.architecture]


def family_named(name: str) -> Family:
    """A family by its name.

    Raises FamilyError listing the names.
    """
    names = {family.name: family for family in FAMILIES}
    if name not in names:
        raise FamilyError(f"there is no family '{name}'; there are {', '.join(names)}")
    return names[name]


def expressed(family: Family, config: Any) -> dict[str, Any]:
    """The config.json of a spec as a family writes it.

    Raises FamilyError, saying what it is that this family cannot express.
    """
    try:
        # A spec of parts that the family does not know may lack what it asks of its own.
        with understanding(f"{family.name}: the spec"):
            return family.published(config)
    except FamilyError as error:
        said = str(error)
        raise FamilyError(said if family.name in said else f"{family.name}: {said}") from error


def family_for(config: Any) -> Family:
    """The first family that can express a spec.

    Raises FamilyError, saying of each family why it cannot.
    """
    reasons = []
    for family in FAMILIES:
        try:
            expressed(family, config)
        except FamilyError as error:
            reasons.append(str(error))
        else:
            return family
    raise FamilyError("no family can express this model: " + "; ".join(reasons))
