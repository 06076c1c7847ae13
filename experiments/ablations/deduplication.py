"""Text that occurs many times is recited; without its copies it is not (Lee 2021)."""

from collections.abc import Callable

from data.curation import Clean, MinLength, NearDuplicates, Substrings, Transform
from data.sources import Copies, Joined, PythonDocs, Share, Source, Tfds
from experiments.ablation.arm import Arm, Changes
from experiments.ablation.decision import AllOf, Better, NoWorse
from experiments.ablation.metric import Lower
from experiments.ablation.paper import Paper, PaperNumber
from experiments.ablation.parents.decoders import medium_decoder, small_decoder
from experiments.ablation.parents.gpts import decoder_1b5_c4
from experiments.ablation.scale import Scale
from experiments.ablation.study import Study
from experiments.recitation import Recitation
from train.experiment import Experiment

SOURCE = "Table 4, 1 epoch, % of generated tokens that are memorised"
DEDUPLICATED = ("NearDup", "ExactSubstr")
FRESH = Lower("eval/fresh/loss", "nats a token")


def without(*transforms: Transform) -> Callable[[Experiment], Changes]:
    """The parent's text, less duplicates by these transforms, after its own."""

    def changes(parent: Experiment) -> Changes:
        return {"data.transforms": (*parent.data.transforms, *transforms)}

    return changes


def copies_alone(parent: Experiment) -> Changes:
    """Nothing but the copies."""
    return {"data.source": parent.data.source.sources[1]}


def planted(of: Source, share: float, passages: int, copies: int) -> Changes:
    """A share of a source's documents, and passages of others so many times; and what the model is asked to recite.

    In each copy but the first, one word is another. Nothing is learnt of a tenth of the documents, which tell how good
    the model is at other text.
    """
    others, fresh = Share(of, 0.8, 0.9), Share(of, 0.9, 1.0)
    return {
        "data.source": Joined((Share(of, 0.0, share), Copies(others, passages, copies=copies, edits=1))),
        "data.transforms": (Clean(), MinLength(40)),
        "hooks": (Recitation("planted", Copies(others, passages)), Recitation("fresh", fresh)),
    }


def study() -> Study:
    """The study."""
    small = {"steps": 800, "schedule.peak": 1e-2, "cadence.evaluate": 400}
    wiki, c4 = Tfds("wiki40b/en", split="train[:10%]"), Tfds("c4/en:3.0.1", split="train[:1%]")
    return Study(
        paper=Paper(
            title="Deduplicating Training Data Makes Language Models Better",
            authors="Lee et al.",
            year=2021,
            identifier="arXiv:2107.06499",
            table="Table 4",
            setting="decoders of 1.5B weights on C4, original and deduplicated; 100,000 samples of each",
        ),
        hypothesis="A model that was trained without duplicates recites far less of its text, and is no worse at other "
        "text.",
        arms=(
            Arm("Original", paper=PaperNumber(1.926, SOURCE)),
            Arm("NearDup", without(NearDuplicates()), PaperNumber(0.189, SOURCE)),
            Arm("ExactSubstr", without(Substrings(bytes=100, limit=1 << 34)), PaperNumber(0.138, SOURCE)),
            Arm("copies alone", copies_alone),
        ),
        metric=Lower("eval/planted/recited", "% of planted stretches"),
        claim=AllOf(
            (
                Better(names=DEDUPLICATED, than=("Original",), worth=10.0),
                NoWorse(names=DEDUPLICATED, than=("Original",), margin=0.05, metric=FRESH),
            )
        ),
        control=Better(names=DEDUPLICATED, than=("copies alone",), worth=10.0),
        scales={
            "cpu": Scale(
                small_decoder({**small, **planted(PythonDocs(), 0.2, passages=2, copies=240)}),
                note="2 x 64 on bytes; 2 passages of 1,000 bytes stand 240 times each among a fifth of the corpus",
                first_seed=100,
            ),
            "gpu": Scale(medium_decoder(planted(wiki, 0.8, passages=64, copies=500))),
            "paper": Scale(
                decoder_1b5_c4({"steps": 4096, **planted(c4, 0.8, passages=128, copies=1000)}),
                topology="v5e:8x8",
                note="a hundredth of C4, all of which Substrings holds in memory, with passages planted in it",
            ),
        },
        note="At a CPU's scale models without duplicates are even better at other text, by 0.2 to 0.31 nats: half of "
        "what Original reads are two passages. With 8 passages 60 times each, in a first try of one seed, Original "
        "recited nothing.",
    )
