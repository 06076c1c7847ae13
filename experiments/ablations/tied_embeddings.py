"""One table for tokens that are read and for logits (Press and Wolf 2016)."""

from data.packing import Sampled
from data.tokenizers import SentencePiece
from experiments.ablation.arm import Arm
from experiments.ablation.decision import Better
from experiments.ablation.metric import Best, Lower
from experiments.ablation.paper import Paper
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.wikitext import wikitext103_decoder
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.ablation.sweep import values
from experiments.ablation.tuning import Tuned

TIED = "model.tie_embeddings"


def study() -> Study:
    """The study."""
    return Study(
        paper=Paper(
            title="Using the Output Embedding to Improve Language Models",
            authors="Press and Wolf",
            year=2016,
            identifier="arXiv:1608.05859",
            table="perplexity on the Penn Treebank",
            setting="recurrent language models over words of the Penn Treebank, a small text",
        ),
        hypothesis="Where text is scarce and the vocabulary large, a model whose logits come from the table of its "
        "embeddings reaches a lower loss, with far fewer weights.",
        arms=(
            Arm("tied", {TIED: True}),
            Arm("untied", {TIED: False}),
            Arm("noise", {TIED: True, "model.dropout": 0.8}),
        ),
        metric=Lower("eval/loss", "nats a token, the least of the run", reading=Best()),
        claim=Better(names=("tied",), than=("untied",)),
        control=Better(names=("tied",), than=("noise",), worth=0.05),
        scales={
            "cpu": Scale(
                small_decoder(
                    {
                        "model.vocab": 4096,
                        "data.tokenizer": SentencePiece(4096),
                        "batch.sequence": 64,
                        "batch.packing": Sampled(320),
                        "cadence.evaluate": 50,
                    }
                ),
                tuning=Tuned(values("schedule.peak", 3e-3, 1e-2)),
                note="2 x 64 on 4,096 pieces of words; 20,480 of them, ten times over",
                first_seed=100,
            ),
            "gpu": Scale(medium_decoder(), seeds=3, tuning=Tuned(values("schedule.peak", 5e-4, 1e-3, 2e-3))),
            "paper": Scale(
                wikitext103_decoder(), seeds=1, topology="v5e:4x4", note="a transformer on WikiText-103 instead"
            ),
        },
    )
