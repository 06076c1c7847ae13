"""Makes a curated corpus: `python -m data.curate --config=NAME_OR_FILE --to=DIR [--set key=value ...]`.

Every transform counts what it saw, changed and dropped. --to gets the documents, shard by shard, the account and a
data card for people. The same command again goes on where it was stopped.
"""

from absl import flags

from data import console

console.quiet()

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "recipe: a name in data/recipes, or a Python file with a function curation(); NAME:FUNCTION for another function",
    required=True,
)
_TO = flags.DEFINE_string("to", None, "directory to write to; local or gs://")
_SET = flags.DEFINE_multi_string("set", [], "change one field, source.path=texts/; may be repeated")
_IMPORT = flags.DEFINE_multi_string("import", [], "Python file with types of your own, to use in --set")
_SHOW = flags.DEFINE_bool("show_config", False, "print the resolved recipe and leave")
_WORKERS = flags.DEFINE_integer("workers", 0, "processes; 0 means one for each core", lower_bound=0)
_RUNNER = flags.DEFINE_enum("runner", "pool", ["pool", "beam"], "processes of this machine, or Apache Beam")
_BEAM = flags.DEFINE_multi_string(
    "beam", [], "option for Apache Beam, such as --beam=runner=DataflowRunner; may be repeated"
)


def main(argv: list[str]) -> None:
    """Loads the recipe and carries it out."""
    from data.spec import describe, flatten, override
    from data.user_code import load_file, usage

    for path in _IMPORT.value:
        load_file(path)
    with usage(_CONFIG.value):
        curation = override(_load(_CONFIG.value), _SET.value)
    if _SHOW.value:
        for key, value in flatten(describe(curation)).items():
            print(f"{key} = {value!r}")
        return
    if not _TO.value:
        raise console.UsageError("--to is required: the directory to write to")
    if _BEAM.value and _RUNNER.value != "beam":
        raise console.UsageError("--beam gives options of Apache Beam, but --runner is pool; add --runner=beam")
    with console.naming(_TO.value):
        if _RUNNER.value == "beam":
            from data.curation.beam import curate_with_beam

            curate_with_beam(curation, _TO.value, [f"--{option.lstrip('-')}" for option in _BEAM.value])
        else:
            from data.curation.engine import curate

            curate(curation, _TO.value, _WORKERS.value)


def _load(name: str) -> object:
    from data.curation.curation import Curation
    from data.user_code import Catalogue

    source, _, function = name.partition(":")
    module = Catalogue("data.recipes", "recipe").module(source)
    make = getattr(module, function or "curation", None)
    if not callable(make):
        raise console.UsageError(f"{source} has no function {function or 'curation'}()")
    made = make()
    if not isinstance(made, Curation):
        raise console.UsageError(f"{name} gives a {type(made).__name__}, not a Curation")
    return made


if __name__ == "__main__":
    console.run(main, interrupted="the same command goes on from here")
