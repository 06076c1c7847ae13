"""Where norms lie, and who needs a warm-up (Xiong 2020)."""

from experiments.ablation.arm import Arm, Changes, in_stacks
from experiments.ablation.decision import AllOf, Better
from experiments.ablation.metric import First, Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.translation import ADAM, transformer_base
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from model.attention import Attention
from model.norms import LayerNorm
from model.parametrization import Glorot
from model.positions import Sinusoidal
from model.residual import PostNorm, PreNorm, Residual
from train.experiment import Cadence, Experiment
from train.probes.norms import GradientTilt
from train.schedule import FlatInverseSquareRoot, InverseSquareRoot

# What decides here, and would be other by default: how weights start, no clipping, and Adam's memory of squares.
PINNED = {
    "model.norm": LayerNorm(bias=True), "model.parametrization": Glorot(), "optimizer": ADAM,
    "hooks": (GradientTilt(),),
}  # fmt: skip
BLEU = "section 3.2, BLEU on IWSLT14 De-En, about"


def arm(name: str, residual: Residual, warm: bool, bleu: float | None = None, times: float = 1.0) -> Arm:
    """Norms in one place, with a warm-up or from the peak on; the rate falls alike."""

    def changes(parent: Experiment) -> Changes:
        kind = InverseSquareRoot if warm else FlatInverseSquareRoot
        schedule = kind(times * parent.schedule.peak, parent.schedule.warmup)
        return {**in_stacks("residual", residual)(parent), "schedule": schedule}

    return Arm(name, changes, None if bleu is None else PaperNumber(bleu, BLEU))


def study() -> Study:
    """The study."""
    small = small_decoder({
        "model.layers": 6,
        "model.attention": Attention(heads=4, positions=Sinusoidal()),
        "model.embedding.scale": 64**0.5,
        "batch.sequence": 64,
        "schedule": InverseSquareRoot(peak=2e-3, warmup=100),
        "cadence": Cadence(log=1, evaluate=100, checkpoint=200, keep=1),
        **PINNED,
    })  # fmt: skip
    medium = {"model.layers": 12, "schedule": InverseSquareRoot(peak=1e-3, warmup=500), **PINNED}
    medium |= {"model.attention": Attention(heads=6, positions=Sinusoidal()), "model.embedding.scale": 384**0.5}
    tilt = Lower("gradient_norm/last_over_first", reading=First())
    pre, post = ("Pre-LN with warm-up", "Pre-LN"), ("Post-LN with warm-up", "Post-LN")
    return Study(
        paper=Paper(
            title="On Layer Normalization in the Transformer Architecture",
            authors="Xiong et al.",
            year=2020,
            identifier="arXiv:2002.04745",
            table="Figures 2 to 4 and section 3.2",
            setting="translation on IWSLT14 and WMT14, Adam, with and without a warm-up",
        ),
        hypothesis="Norms on the stream need a warm-up, and norms beside it do not; when training starts, the last "
        "block's gradient, measured by the first's, is larger with the former.",
        arms=(
            arm(post[0], PostNorm(), True, 34),
            arm(post[1], PostNorm(), False, 8.45),
            arm(pre[0], PreNorm(), True),
            arm(pre[1], PreNorm(), False, 34),
            arm("Pre-LN at 100 times the rate", PreNorm(), False, times=100),
        ),
        metric=Lower("eval/loss", "nats a byte", worst=5.55),
        claim=AllOf((
            Better(names=(post[0], *pre), than=(post[1],), worth=0.1),
            Better(names=pre, than=post, metric=tilt),
        )),
        control=Better(names=(pre[1],), than=("Pre-LN at 100 times the rate",), worth=0.1),
        scales={
            "cpu": Scale(small, note="6 x 64 on bytes; a decoder", first_seed=100),
            "gpu": Scale(medium_decoder(medium)),
            "paper": Scale(
                transformer_base({"hooks": (GradientTilt(),), "cadence.log": 1}), topology="v5e:4x4",
                note="WMT14 English-German, their larger task",
            ),
        },
        note="Post-LN with a warm-up leaves the plateau of byte frequencies late with some seeds, hence its deviation.",
    )  # fmt: skip
