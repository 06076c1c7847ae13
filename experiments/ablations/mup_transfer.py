"""The learning rate that is best at one width is best at others, under muP (Yang 2022)."""

import dataclasses
from collections.abc import Callable

from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import Better, Equivalent
from experiments.ablation.optimum import OfSetting, Optimum
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.gpts import wikitext2_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Everywhere
from experiments.coordinates import widened
from model.parametrization import MuP, Parametrization, Standard
from train.experiment import Experiment


def standard(base: int, width: int) -> Parametrization:
    """Weights as wide as their fan-in asks, and one rate for all."""
    return Standard(std=width**-0.5)


def mup(base: int, width: int) -> Parametrization:
    """The same at the base width."""
    return MuP(base_width=base, std=base**-0.5)


def wide(times: int, kind: Callable[[int, int], Parametrization]) -> Callable[[Experiment], Changes]:
    """The parent at so many times its width; heads stay as large, and become more."""

    def changes(parent: Experiment) -> Changes:
        model = widened(parent.model, parent.model.embed * times)
        found = kind(parent.model.embed, model.embed)
        return {"model": dataclasses.replace(model, parametrization=found)}

    return changes


def rates(low: int, high: int) -> Everywhere:
    """Powers of two."""
    return Everywhere(values("schedule.peak", *(2.0**k for k in range(low, high + 1))))


def study() -> Study:
    """The study."""
    small = {"model.embed": 32, "model.attention.heads": 2, "model.feedforward.hidden": 128}
    short = {"steps": 200, "batch.batch": 4, "schedule.warmup": 20, "cadence.evaluate": 1000}
    return Study(
        paper=Paper(
            title="Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
            authors="Yang et al.",
            year=2022,
            identifier="arXiv:2203.03466",
            table="Figures 1 and 3",
            setting="transformers on WikiText-2; curves, of which no numbers are printed",
        ),
        hypothesis="As a model becomes wider its best learning rate falls, by a factor of two or so for each doubling; "
        "under muP it stays where it is.",
        arms=(
            *(Arm(f"SP, {times} x", wide(times, standard)) for times in (1, 2, 4)),
            *(Arm(f"muP, {times} x", wide(times, mup)) for times in (1, 2, 4)),
        ),
        metric=Optimum(key="eval/loss", unit="log2 of the best rate", worst=5.55, axis=OfSetting("schedule.peak")),
        claim=Equivalent(names=("muP, 1 x", "muP, 4 x"), margin=0.5),
        # Where the rate of the standard parametrization does not fall either, there is nothing to be cured.
        control=Better(names=("SP, 1 x",), than=("SP, 4 x",), worth=0.5),
        scales={
            "cpu": Scale(small_decoder({**small, **short}), tuning=rates(-9, -3),
                         note="2 x 32 to 2 x 128 on bytes, 200 steps of 512"),
            "gpu": Scale(medium_decoder({**small, "model.embed": 128, "model.feedforward.hidden": 512, "steps": 1000}),
                         tuning=rates(-12, -5)),
            "paper": Scale(wikitext2_decoder(), tuning=rates(-14, -5), topology="v5e:2x4"),
        },
        note="Each figure is the lowest point of a parabola through the losses at three rates; the standard "
        "parametrization is the arm that is known to be bad.",
    )  # fmt: skip
