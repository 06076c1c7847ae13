"""Evaluates a run's model on its validation text, or on texts of yours.

    python -m experiments.evaluate --run=DIR [--text=FILE ...] [--json]

Each row starts without context, as in training. Loss is in nats a token; bits per byte do not depend
on the tokenizer and can be compared between models.
"""

import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from data.prepared import Prepared
    from data.store import TokenStore
    from experiments.restore import OpenRun

VALIDATION = "validation"


def evaluate(opened: "OpenRun", store: "TokenStore") -> dict[str, float]:
    """`tokens`, `bytes`, `nats_per_token`, `bits_per_byte` and `perplexity` of a model on a store.

    Bits per byte are not a number where targets are not next tokens, each predicted once.
    """
    from data.targets import NextToken
    from train.evaluation import Evaluator, bits_per_byte

    batch = opened.experiment.batch
    # Rows do not see one another, so that their number in a batch may be what these devices need.
    ways = opened.experiment.placement.batch_divisor(opened.layout.mesh.size)
    batch = dataclasses.replace(batch, evaluation=-(-batch.evaluation_rows // ways) * ways)
    evaluator = Evaluator(opened.blueprint, opened.experiment.objective, opened.prepared, batch, opened.layout)
    nats, tokens = evaluator.totals(opened.weights, store)
    loss, plain = nats / tokens, isinstance(batch.targets, NextToken)
    bits = bits_per_byte(nats, tokens, [store]) if plain else None
    return {
        "tokens": int(tokens),
        "bytes": store.bytes,
        "nats_per_token": loss,
        "bits_per_byte": math.nan if bits is None else bits,
        "perplexity": math.exp(loss) if loss < 700 else math.inf,
    }


def tokenized(text: str, prepared: "Prepared", directory: str | Path) -> "TokenStore":
    """A text as a store of one document.

    Raises ValueError if it is empty, or has something that the tokenizer cannot encode.
    """
    from data.store_writer import TokenStoreWriter

    if not text:
        raise ValueError("it is empty")
    tokenizer = prepared.tokenizer
    writer = TokenStoreWriter(
        directory, vocab_size=tokenizer.vocab_size, tokenizer=tokenizer.hash, separator=tokenizer.separator
    )
    writer.append(tokenizer.encode(text), len(text.encode()))
    return writer.finish()


def evaluate_texts(opened: "OpenRun", paths: Sequence[str]) -> dict[str, dict[str, float]]:
    """The figures of each text file, or of the validation text if there is none, by name.

    Raises UsageError for a file that is missing, or is no text for this model.
    """
    from data.sources.files import decode

    if not paths:
        return {VALIDATION: evaluate(opened, opened.prepared.validation)}
    rows = {}
    with tempfile.TemporaryDirectory(prefix="espalier-") as scratch:
        # All are read before the first is evaluated, so that a wrong name is known at once.
        stores = []
        for number, path in enumerate(paths):
            try:
                text = decode(Path(path).read_bytes(), path)
                stores.append(tokenized(text, opened.prepared, Path(scratch) / str(number)))
            except OSError as error:
                raise console.UsageError(f"--text={path}: {(error.strerror or str(error)).lower()}") from error
            except ValueError as error:
                raise console.UsageError(f"--text={path}: {error}") from error
        for path, store in zip(paths, stores, strict=True):
            rows[path] = evaluate(opened, store)
    return rows


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The figures for people."""
    head = ("text", "tokens", "nats/token", "bits/byte", "perplexity")
    lines = [head] + [
        (
            name,
            f"{row['tokens']:,}",
            f"{row['nats_per_token']:.4f}",
            f"{row['bits_per_byte']:.4f}",
            f"{row['perplexity']:.4g}",
        )
        for name, row in rows.items()
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def as_json(opened: "OpenRun", rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures for programs; a number that is none is null."""
    texts = [
        {"text": name} | {key: value if math.isfinite(value) else None for key, value in row.items()}
        for name, row in rows.items()
    ]
    return json.dumps({"run": str(opened.run.path), "step": opened.step, "texts": texts}, indent=1)


def main(argv: list[str]) -> None:
    """Evaluates as the flags say."""
    from data.user_code import load_file
    from experiments.restore import find_run, open_run, placement_of

    given = flags.FLAGS
    for path in given["import"].value:
        load_file(path)
    run = find_run(given.run)
    for path in given.text:
        if not Path(path).is_file():
            raise console.UsageError(f"--text={path}: there is no such file")
    opened = open_run(run.path, placement_of(given.placement), lambda line: print(line, file=sys.stderr))
    rows = evaluate_texts(opened, given.text)
    if given.json:
        print(as_json(opened, rows))
    else:
        print(f"{run.path}, step {opened.step}\n{table(rows)}")


if __name__ == "__main__":
    flags.DEFINE_string("run", None, "run directory with the model", required=True)
    flags.DEFINE_multi_string("text", [], "UTF-8 text file to evaluate on instead; may be repeated")
    flags.DEFINE_string("placement", "", "how the model lies on devices, such as FullySharded(); whole on each if not")
    flags.DEFINE_multi_string("import", [], "Python file with types of your own, that the run's config names")
    flags.DEFINE_bool("json", False, "print JSON")
    console.run(main)
