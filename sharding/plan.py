"""Says whether a config fits a TPU topology: `python -m sharding.plan --config=NAME --topology=v5e:16x16`.

No TPU is needed: the training step is compiled for the topology by the TPU's own compiler, on a CPU. Told are the
memory of a chip by category, FLOPs against the model's, collectives by mesh axis, simulated step time, MFU and tokens
per second per chip. With --schedule the compiler is followed as far as its schedule, which takes seconds: memory came
out within 6% of the whole compilation's, and time within 10%. With --search other meshes, micro-batches,
rematerialisations and kernels are tried and ranked.
Exit status 1 where it does not fit, 2 where config and topology do not go together.
"""

import importlib
import os
import sys

from absl import flags

from data import console

console.quiet()

_CONFIG = flags.DEFINE_string("config", None, "--config of python -m train", required=True)
_TOPOLOGY = flags.DEFINE_string("topology", None, "one slice: v5e:16x16, v5p:8x8x8", required=True)
_SLICES = flags.DEFINE_integer("slices", 1, "slices joined by the data-centre network", lower_bound=1)
_SET = flags.DEFINE_multi_string("set", [], "change one field, as in python -m train; may be repeated")
_IMPORT = flags.DEFINE_multi_string("import", [], "Python file with types of your own, to use in --set")
_COMPILE = flags.DEFINE_bool("compile", True, "ask the compiler; otherwise memory is told by closed form alone")
_SCHEDULE = flags.DEFINE_bool("schedule", False, "stop before machine code is written: quick, without its cycles")
_SEARCH = flags.DEFINE_bool("search", False, "try meshes, micro-batches, rematerialisation and kernels, and rank them")
_SEARCH_BATCH = flags.DEFINE_bool("search_batch", False, "with --search: other sizes of the batch too")
_TRIES = flags.DEFINE_integer("tries", 24, "with --search: candidates to schedule", lower_bound=1)
_FINALISTS = flags.DEFINE_integer("finalists", 3, "with --search: the best of them, to compile", lower_bound=1)
_JSON = flags.DEFINE_string("json", "", "file to write the same to, for programs")
_HTML = flags.DEFINE_string("html", "", "file to write the same to, as a page")

# Where it runs is this room's question. The answer needs a config and the step that is made of it, which rooms know
# that may import this one; so what answers is found by name, as plug-ins are.
_PLANNER = "experiments.planning.verb"


def main(argv: list[str]) -> int:
    """Hands over to the planner."""
    # It compiles for devices that are not there, and must not take those that are.
    os.environ["JAX_PLATFORMS"] = "cpu"
    planner = importlib.import_module(_PLANNER)
    asked = planner.Asked(
        _CONFIG.value, _TOPOLOGY.value, _SLICES.value, tuple(_SET.value), tuple(_IMPORT.value), _JSON.value, _HTML.value
    )
    if _SCHEDULE.value and (_SEARCH.value or not _COMPILE.value):
        other = "--search schedules by itself" if _SEARCH.value else "--nocompile does not ask the compiler"
        raise console.UsageError(f"--schedule cannot be given here: {other}; leave one of the two out")
    if _SEARCH.value:
        return planner.search(
            asked, tries=_TRIES.value, finalists=_FINALISTS.value, batches=_SEARCH_BATCH.value
        )
    if not _COMPILE.value:
        return planner.plan(asked, depth=planner.Depth.CLOSED_FORM)
    if not _SCHEDULE.value:
        return planner.plan(asked)
    status = planner.plan(asked, depth=planner.Depth.SCHEDULE)
    # The compiler is still at work, in a thread that nobody can stop.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    console.run(main)
