"""Tokenizers against their own libraries: from texts to arrays of ids, on the same texts and with the same threads."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sentencepiece
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from data.sources import PythonDocs
from data.tokenizers import HuggingFaceTokenizer, SentencePiece, Tokenizer

VOCABULARY = 4096
# The library's call on a list of texts, with the threads that it takes by itself.
Bare = Callable[[list[str]], object]


@dataclass(frozen=True)
class Pair:
    """One of our tokenizers, and the library's call that does the same less the arrays."""

    name: str
    ours: Tokenizer
    bare: Bare


def measure(repeats: int) -> Iterator[str]:
    """One line for each tokenizer, trained on the texts of `PythonDocs`, which are then encoded.

    Ours and the library take turns, so that a change in the machine's speed meets both.
    """
    texts = [document.text for document in PythonDocs().documents()]
    for pair in pairs(texts):
        tokens = sum(ids.size for ids in pair.ours.encode_batch(texts))
        sides = (pair.ours.encode_batch, pair.bare)
        turns = [[_seconds(side, texts) for side in sides] for _ in range(repeats)]
        rates = [tokens / statistics.median(side) / 1e6 for side in zip(*turns, strict=True)]
        ratios = sorted(bare / ours for ours, bare in turns)
        yield (
            f"{pair.name:22} {rates[0]:6.2f} million tokens/s, the library {rates[1]:6.2f}, ratio"
            f" {statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
        )


def pairs(texts: Sequence[str], vocabulary: int = VOCABULARY) -> Iterator[Pair]:
    """The tokenizers to time, trained on these texts."""
    for kind in ("bpe", "unigram"):
        ours = SentencePiece(vocabulary, kind).train(texts)
        library = sentencepiece.SentencePieceProcessor(model_proto=ours.files()["tokenizer.model"])
        yield Pair(f"SentencePiece {kind}", ours, library.encode)
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer, library.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    library.train_from_iterator(texts, trainer)
    ours = HuggingFaceTokenizer(library.to_str().encode(), "<|endoftext|>")
    yield Pair("Hugging Face BPE", ours, lambda given: library.encode_batch_fast(given, add_special_tokens=False))


def _seconds(encode: Bare, texts: list[str]) -> float:
    began = time.perf_counter()
    encode(texts)
    return time.perf_counter() - began
