"""One expert of many a token, at the FLOPs of a dense layer (Switch; Fedus 2021)."""

from experiments.ablation.arm import Arm, in_stacks
from experiments.ablation.decision import Better
from experiments.ablation.match import SameFlops
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.t5 import t5_base
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from model.balance import BalanceLoss
from model.config import TransformerConfig
from model.dispatch import Capacity
from model.feedforward import FeedForwardPlan, InterleavedFeedForward
from model.moe import MoE
from model.router import Softmax
from sharding.placements import Combined

SWITCH = ("Switch 2.0",)


def routed(name: str, capacity: float, paper: float = 0) -> Arm:
    """Experts as wide as the parent's layer: of a deep model 128 in every other block, of a small one 8 in each."""

    def layer(of: TransformerConfig) -> FeedForwardPlan:
        deep, dense = of.layers >= 12, of.feedforward
        # By the probability that an expert is multiplied with, the router learns.
        router = Softmax(normalise=False)
        sparse = MoE(128 if deep else 8, 1, dense, router, Capacity(capacity), balance=BalanceLoss(0.01))
        return InterleavedFeedForward((dense, sparse)) if deep else sparse

    return Arm(name, in_stacks("feedforward", layer), number(name, paper))


def number(row: str, quality: float) -> PaperNumber | None:
    """What the table has of a row."""
    return PaperNumber(quality, f"Table 1, {row}, negative log perplexity after 100k steps") if quality else None


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity",
            authors="Fedus, Zoph and Shazeer",
            year=2021,
            identifier="arXiv:2101.03961",
            table="Table 1",
            setting="T5-Base with 128 experts in every other layer, on C4; a higher number is better there",
        ),
        hypothesis="With as many FLOPs a token, a model of many experts reaches a lower loss than a dense one.",
        arms=(
            Arm("dense", paper=number("T5-Base", -1.731)),
            routed("Switch 2.0", 2.0, paper=-1.554),
            routed("Switch 1.0", 1.0, paper=-1.561),
            # Of eight tokens seven pass by their layer.
            routed("capacity 0.125", 0.125),
        ),
        metric=Lower("eval/loss", "nats a token"),
        claim=Better(names=SWITCH, than=("dense",), worth=0.01),
        control=Better(names=SWITCH, than=("capacity 0.125",), worth=0.02),
        matched=(SameFlops(within=0.04, arms=("dense", *SWITCH)),),
        scales={
            "cpu": Scale(
                small_decoder(
                    {
                        "model.feedforward.hidden": 16,
                        "batch.sequence": 64,
                        "batch.batch": 16,
                        "schedule.peak": 1e-2,
                        "steps": 800,
                    }
                ),
                note="2 x 64 on bytes, with 8 experts of 16: of 64 they gained 0.02 nats, too little to be seen",
                first_seed=100,
            ),
            "gpu": Scale(medium_decoder(), seeds=3, note="8 experts in every layer"),
            "paper": Scale(
                t5_base({"steps": 100_000, "placement": Combined(fsdp=2, expert=32)}), seeds=1, topology="v5e:8x8"
            ),
        },
    )
