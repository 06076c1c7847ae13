"""What a family of public models is: presets, its config in both directions, and the links of its tensors."""

import abc
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from flax import nnx

from model.attention import Attention
from model.config import TransformerConfig
from model.families.link import Link
from model.families.published import FamilyError, Published
from model.feedforward import InterleavedFeedForward
from model.latent_attention import LatentAttention
from model.mixing import Interleaved, Mixing
from model.parametrization import Standard
from model.residual import PreNorm
from model.stochastic_depth import StochasticDepth
from model.transformer import DecoderLM

Part = TypeVar("Part")


class Family(abc.ABC):
    """One family. Subclasses hold no formula: what a model computes is all in its spec.

    Attributes:
      name: of the family, as in `model_type` of a config.json.
      architectures: names of the published model classes that it covers.
      presets: published models by name: the keys of their config.json that matter.
      prefix: of most tensors' names; files of the model without its head lack it.
    """

    name: ClassVar[str]
    architectures: ClassVar[tuple[str, ...]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    prefix: ClassVar[str] = ""

    @abc.abstractmethod
    def config(self, published: Published) -> Any:
        """The spec of a published model.

        Raises FamilyError for what is not supported, naming the key.
        """

    @abc.abstractmethod
    def published(self, config: Any) -> dict[str, Any]:
        """The config.json of a spec.

        Raises FamilyError, naming the field, for a spec that this family cannot express.
        """

    @abc.abstractmethod
    def outer_links(self, config: Any) -> Iterator[Link]:
        """The tensors outside of the blocks."""

    @abc.abstractmethod
    def block_links(self, config: Any, block: int) -> Iterator[Link]:
        """The tensors of one block."""

    def links(self, config: Any) -> Iterator[Link]:
        """All tensors, in the order in which they are written."""
        yield from self.outer_links(config)
        for block in range(config.layers):
            yield from self.block_links(config, block)

    def surplus(self, config: Any, name: str) -> bool:
        """Whether a tensor of theirs says nothing that the model does not know: a buffer, or a tied copy."""
        return False

    def build(self, config: Any, rngs: nnx.Rngs) -> nnx.Module:
        """The model."""
        return DecoderLM(config, rngs)

    def preset(self, name: str) -> Any:
        """The spec of a published model by its name.

        Raises FamilyError listing the names.
        """
        if name not in self.presets:
            raise FamilyError(f"{self.name} has no preset '{name}'; it has {', '.join(self.presets)}")
        return self.config(Published(self.presets[name], f"preset {name}"))

    def part(self, found: Any, kind: type[Part], field: str) -> Part:
        """A part of a spec, after a look that it is of the kind that this family has.

        Raises FamilyError naming the field.
        """
        if not isinstance(found, kind):
            raise FamilyError(
                f"{self.name} cannot express this model: model.{field} is {type(found).__name__}; "
                f"this family has {kind.__name__}"
            )
        return found

    def confirm(self, config: Any, published: dict[str, Any]) -> dict[str, Any]:
        """`published`, after a look that reading it gives `config` back, less what says only how it is computed.

        Raises FamilyError naming the first field that differs: this family cannot express it.
        """
        again = self.config(Published(published, f"the {self.name} config"))
        if (difference := first_difference(config, again)) is not None:
            raise FamilyError(f"{self.name} cannot express this model: {difference}")
        return published


def explicit(config: TransformerConfig) -> TransformerConfig:
    """A spec that computes the same, with what follows from other fields filled in, and layers block by block."""

    rules = config.parametrization

    def filled(mixing: Mixing) -> Mixing:
        if isinstance(mixing, LatentAttention) and not mixing.scale and (factor := rules.scores(mixing.query_dim)) != 1:
            return dataclasses.replace(mixing, scale=mixing.score_scale * factor)
        if not isinstance(mixing, Attention):
            return mixing
        features = mixing.features(config.embed)
        scale = mixing.scale or features**-0.5 * rules.scores(features)
        return dataclasses.replace(mixing, kv_heads=mixing.key_heads, head_dim=features, scale=scale)

    residual = config.residual.of if isinstance(config.residual, StochasticDepth) else config.residual
    if (factor := rules.branch(config.layers)) != 1:
        if not isinstance(residual, PreNorm):
            raise FamilyError(f"no family has a {type(residual).__name__} that multiplies branches by {factor:g}")
        residual = PreNorm(residual.scale * factor)

    mixings = tuple(filled(block.attention) for block in config.blocks)
    feedforwards = tuple(block.feedforward for block in config.blocks)
    return dataclasses.replace(
        config,
        parametrization=Standard(rules.std),
        logits=dataclasses.replace(config.logits, scale=config.logits_scale),
        residual=residual,
        attention=mixings[0] if len(set(mixings)) == 1 else Interleaved(mixings),
        feedforward=feedforwards[0] if len(set(feedforwards)) == 1 else InterleavedFeedForward(feedforwards),
    )


# Fields that a published config does not hold, or that change no output.
_NOT_PUBLISHED = {"kernel", "dropout", "remat", "parametrization", "precision", "dispatch", "balance", "z_loss"}


def first_difference(wanted: Any, found: Any, where: str = "model") -> str | None:
    """Where two specs first differ in what they compute, and how; None if they do not."""
    if isinstance(wanted, TransformerConfig) and isinstance(found, TransformerConfig):
        wanted, found = explicit(wanted), explicit(found)
    if isinstance(wanted, tuple) and isinstance(found, tuple) and len(wanted) == len(found):
        pairs = [(f"{where}.{i}", *pair) for i, pair in enumerate(zip(wanted, found, strict=True))]
    elif type(wanted) is type(found) and dataclasses.is_dataclass(wanted):
        names = [field.name for field in dataclasses.fields(wanted) if field.name not in _NOT_PUBLISHED]
        pairs = [(f"{where}.{name}", getattr(wanted, name), getattr(found, name)) for name in names]
    else:
        return None if wanted == found else f"{where} is {wanted!r}, and it has {found!r} there"
    return next((said for place, one, other in pairs if (said := first_difference(one, other, place))), None)
