"""Writes a run's model as a public family publishes it: `python -m experiments.export --run=RUN --to=DIR`.

The directory holds config.json and safetensors under the names that Hugging Face's `transformers` reads.
The family is the first that computes the same, or --family. Of tokenizers, SentencePiece's model file
is written beside them; others have no published form.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from experiments.restore import OpenRun
    from model.families.family import Family
    from model.masks import Mask
    from model.transformer import TransformerConfig


def one_document(config: "TransformerConfig") -> "TransformerConfig":
    """The spec for rows of one document each: published models know of no segments."""
    from model.mixing import Interleaved

    mixings = tuple(
        dataclasses.replace(block.attention, mask=_without_segments(block.attention.mask)) for block in config.blocks
    )
    same = len(set(mixings)) == 1
    return dataclasses.replace(config, attention=mixings[0] if same else Interleaved(mixings))


def _without_segments(mask: "Mask") -> "Mask":
    from model.masks import And, Segments

    if not isinstance(mask, And):
        return mask
    if isinstance(mask.left, Segments) or isinstance(mask.right, Segments):
        return _without_segments(mask.right if isinstance(mask.left, Segments) else mask.left)
    return And(_without_segments(mask.left), _without_segments(mask.right))


def export_run(opened: "OpenRun", target: Path, family: "Family | None" = None) -> "Family":
    """Writes the model of a run; returns the family that it is written as.

    Raises FamilyError if the family, or every one, cannot express it; nothing is written then.
    """
    import numpy as np

    from model.config import TransformerConfig
    from model.families.registry import expressed, family_for
    from model.families.transfer import export, tensors_from
    from model.families.whole import writing_directory

    if not isinstance(opened.experiment.model, TransformerConfig):
        kind = type(opened.experiment.model).__name__
        raise ValueError(f"the model of {opened.run.path} is a {kind}; of runs, decoders alone are exported")
    _, read = tensors_from(opened.decoder())
    config = one_document(opened.experiment.model)
    family = family_for(config) if family is None else family
    values = _completed(expressed(family, config), opened)
    formats = np.dtype(config.precision.weights_dtype)
    with writing_directory(target) as temporary:
        export(family, config, read, lambda name: formats, temporary, values)
        for name, content in opened.prepared.tokenizer.published().items():
            (temporary / name).write_bytes(content)
    return family


def _completed(values: dict[str, Any], opened: "OpenRun") -> dict[str, Any]:
    """What the spec does not say: the context, the format, and the separator, which begins documents and ends them."""
    separator, experiment = opened.prepared.tokenizer.separator, opened.experiment
    told = {
        "max_position_embeddings": experiment.batch.sequence, "torch_dtype": experiment.model.precision.weights,
        "bos_token_id": separator, "eos_token_id": separator,
    }  # fmt: skip
    return {**told, **values}


def main(argv: list[str]) -> None:
    """Exports one run."""
    from experiments.restore import open_run
    from model.families.published import FamilyError
    from model.families.registry import family_named
    from model.families.whole import refuse_full

    target = Path(flags.FLAGS.to)
    refuse_full(target, "--to")
    try:
        family = family_named(flags.FLAGS.family) if flags.FLAGS.family else None
    except FamilyError as error:
        raise console.UsageError(f"--family: {error}") from None
    opened = open_run(flags.FLAGS.run)
    family = export_run(opened, target, family)
    tokenizer = opened.prepared.tokenizer
    without = "" if tokenizer.published() else f"; the {tokenizer.type} tokenizer has no published form"
    print(f"export: {family.name}, step {opened.step}, in {target}{without}")


if __name__ == "__main__":
    flags.DEFINE_string("run", None, "run directory", required=True)
    flags.DEFINE_string("to", None, "directory to write; new or empty", required=True)
    flags.DEFINE_string("family", "", "write it as this family; the first that can express it if empty")
    console.run(main)
