"""Runs a published ablation, and says whether it reproduces: `python -m experiments.ablate --study=NAME --scale=cpu`.

The same command again goes on where it was stopped. A study is one file in experiments/ablations; --list names them.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from data import console

if TYPE_CHECKING:
    from experiments.ablation.study import Study

console.quiet()


def main(argv: list[str]) -> None:
    """Does what the flags say."""
    from data.console import UsageError
    from data.user_code import load_file, usage
    from experiments.ablation.catalogue import load_study, study_names
    from experiments.ablation.findings import findings
    from experiments.ablation.part import Part, Share
    from experiments.ablation.plan import Plan
    from experiments.ablation.published import commit, write, write_docs
    from experiments.ablation.runner import run
    from experiments.ablation.shown import listing, planned
    from experiments.ablation.store import Store
    from experiments.ablation.workers import Workers

    given = flags.FLAGS
    for path in getattr(given, "import"):
        load_file(path)
    if given.docs:
        write_docs()
        return
    if given.list:
        print(listing({name: load_study(name) for name in study_names()}))
        return
    if not given.study:
        raise UsageError("--study is required; --list names the studies")
    study = load_study(given.study)
    if given.fit:
        _fit(Path(given.study).stem, study, given.commit)
        return
    changes = [*given.set, *([f"data.source=TextFiles('{given.text}')"] if given.text else [])]
    with usage(f"study '{given.study}', scale '{given.scale}'"):
        plan = Plan(study, study.at(given.scale, changes, given.seeds, given.first_seed), study.chosen(given.arms))
        plan.check()
    store = Store(given.out, given.any_code)
    if given.dry_run:
        print(planned(plan, store))
        return
    with usage("--part"):
        share = Share.parse(given.part)
    with Part(share, Workers(given.together, given.workers)) as executor:
        ran = run(plan, store, executor)
    found = findings(Path(given.study).stem, given.scale, ran, changes)
    print(f"{found['verdict']['told']}: {found['verdict']['why']}")
    print(f"report: {write(store.root, found)}")
    if given.commit:
        print(f"committed: {commit(found)}")


def _fit(name: str, study: "Study", keep: bool) -> None:
    """Says whether a study's runs at the paper's scale fit the TPU that it names."""
    # It compiles for devices that are not there, and must not take those that are.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from data.user_code import usage
    from experiments.ablation import paper_scales
    from experiments.ablation.published import write_docs

    with usage(f"study '{name}'"):
        fit = paper_scales.fitted(study)
    print(
        f"arm '{fit.arm}', {fit.weights:,} weights, on {fit.topology}: {fit.gib:.2f} of {fit.usable:.2f} GiB a chip, "
        f"{fit.seconds:.4g} s a step, MFU {fit.mfu:.1%}; {fit.hours:,.3g} hours of all steps, simulated"
    )
    if keep:
        paper_scales.write({**paper_scales.read(), name: fit})
        write_docs()


if __name__ == "__main__":
    flags.DEFINE_string("study", "", "a study in experiments/ablations, or a Python file with one")
    flags.DEFINE_string(
        "scale",
        "cpu",
        "how large: cpu (meant for half an hour on two cores), gpu (for an hour on one card), paper (as published)",
    )
    flags.DEFINE_list("arms", [], "only these arms, by name; by default all")
    flags.DEFINE_integer("seeds", None, "how many seeds judge; by default as many as the study has")
    flags.DEFINE_integer("first_seed", None, "of those that judge, which count up from it; by default the study's")
    flags.DEFINE_multi_string("set", [], "change one field of the parent, steps=100; may be repeated")
    flags.DEFINE_string("text", "", "learn from these files (a path or a pattern) instead of the study's own text")
    flags.DEFINE_multi_string("import", [], "Python file with types of your own, to use in --set")
    flags.DEFINE_string("out", "runs/ablations", "directory to write to; studies share runs in it")
    flags.DEFINE_integer(
        "together",
        8,
        "runs that differ in numbers alone (learning rate, seed, decay) and are trained as one program, at most; "
        "1: each by itself",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "workers",
        0,
        "processes that make runs side by side on a CPU, each on cores of its own; by default one a core, at most 8, "
        "and one alone where there is an accelerator",
        lower_bound=0,
    )
    flags.DEFINE_string(
        "part",
        "0/1",
        "of several hosts that share --out, which this is, from 0: 2/4 for the third of four; each makes a part of the "
        "runs and waits for those of the others",
    )
    flags.DEFINE_bool("any_code", False, "take runs of other versions of the code as well")
    flags.DEFINE_bool(
        "commit", False, "put what was found among experiments/ablations/results, and write docs/ablations.md anew"
    )
    flags.DEFINE_bool("docs", False, "write docs/ablations.md from the committed results, and leave")
    flags.DEFINE_bool(
        "fit",
        False,
        "compile the largest run of the paper's scale for the TPU that the study names, say whether it fits, and leave",
    )
    flags.DEFINE_bool("dry_run", False, "say what would be run, and leave")
    flags.DEFINE_bool("list", False, "name the studies, and leave")
    console.run(main, interrupted="what was done is saved; the same command goes on from there")
