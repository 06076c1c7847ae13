"""Converts a published model to our layout, or back: `python -m model.convert --from DIR --to DIR`.

A published model is a directory as Hugging Face writes it: config.json, safetensors files (with an
index, if there are several), tokenizer files. Our layout has the same files with our names and
shapes of tensors, block by block, and an espalier.json. Nothing but copies is made: there and back
gives the same bits. Tensors are read and written one link at a time, so memory holds no more than
the largest; with --verify twice that, while both copies of it are compared.
"""

from pathlib import Path

from absl import flags

from data import console

console.quiet()

from model.families.whole import refuse_full, writing_directory

_FROM = flags.DEFINE_string("from", None, "directory to read", required=True)
_TO = flags.DEFINE_string("to", None, "directory to write; new or empty", required=True)
_VERIFY = flags.DEFINE_bool("verify", False, "read what was written again, and compare every bit")
_SHARD = flags.DEFINE_integer("shard_megabytes", 5000, "a file is closed before it grows beyond this", lower_bound=1)


def main(argv: list[str]) -> None:
    """Converts one directory."""
    source, target = Path(_FROM.value), Path(_TO.value)
    if not source.is_dir():
        raise console.UsageError(f"--from={source} is no directory")
    refuse_full(target, "--to")
    convert(source, target, _SHARD.value * 1_000_000, _VERIFY.value)


def convert(source: Path, target: Path, shard_bytes: int, verify: bool = False) -> None:
    """Writes `target`, in the layout that `source` does not have; whole or not at all."""
    from model.families.transfer import (
        OwnModel,
        copy_companions,
        open_model,
        publish,
        take_over,
        verify_copy,
    )

    opened = open_model(source)
    publishing = isinstance(opened, OwnModel)
    with writing_directory(target) as temporary:
        (publish if publishing else take_over)(opened, temporary, shard_bytes)
        copied = copy_companions(source, temporary)
        if verify:
            verify_copy(opened, open_model(temporary))
    layout = "published" if publishing else "our"
    others = f", with {len(copied)} other files" if copied else ""
    checked = ", every bit compared" if verify else ""
    print(
        f"convert: {opened.family.name}, {len(opened.tensors):,} tensors, to {layout} layout in {target}"
        f"{others}{checked}"
    )


if __name__ == "__main__":
    console.run(main)
