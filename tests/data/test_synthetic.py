"""Texts by a rule: shards, ids, and hashes that tell one rule from another."""

from data.sources import ModularArithmetic, Repeats


def test_shards_together_are_the_whole() -> None:
    source = Repeats(count=5000, length=30)
    assert [shard.name for shard in source.shards()] == ["00000000", "00004096"]
    found = list(source.documents())
    assert [document.text for document in found] == [source.text(n) for n in range(5000)]
    assert len({document.id for document in found}) == 5000


def test_each_rule_has_its_hash() -> None:
    sources = [ModularArithmetic(7), ModularArithmetic(7, right=2), Repeats(9, 30), Repeats(9, 30, seed=1)]
    assert len({source.fingerprint() for source in sources}) == 4
    assert Repeats(9, 30).fingerprint() == Repeats(9, 30).fingerprint()
