"""Both sides of the benchmark do the same work."""

from pydoc_data.topics import topics

from experiments.benchmarks.tokenize_speed import pairs

TEXTS = [topics[name][:2000] for name in sorted(topics)[:20]]


def test_both_sides_give_the_same_ids() -> None:
    made = list(pairs(TEXTS, 400))
    assert [pair.name for pair in made] == ["SentencePiece bpe", "SentencePiece unigram", "Hugging Face BPE"]
    for pair in made:
        theirs = [getattr(encoded, "ids", encoded) for encoded in pair.bare(TEXTS)]
        assert [ids.tolist() for ids in pair.ours.encode_batch(TEXTS)] == theirs, pair.name
