"""The group of each token of a batch, against that of the document which it is read from."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from data.group_by import ByMeta, GroupBy
from data.grouping import Grouping, MetadataGroups, PartGroups
from data.mixture import Mixture, Part
from data.packing import BestFit, Packing, Padded, Windows, empty_rows
from data.prepared import Prepared
from data.recipe import Recipe
from data.sources import JsonLines
from data.split import HashSplit
from data.store import TokenStore
from data.store_writer import TokenStoreWriter
from data.targets import UL2, FillInTheMiddle, MaskedLM, NextToken, PrefixLM, SpanCorruption, Targets
from data.tokenizers import Bytes
from data.training import Format, Training, training
from tests.data.target_rows import SPECIAL

PACKINGS = [Windows(), Windows(segments=True), BestFit(), Padded()]
NAMES = ("c", "a", "b")
RECIPES = {"grouped": ByMeta("kind"), "plain": None}


def write(directory: Path, seed: int, separator: int | None) -> tuple[TokenStore, dict[int, str]]:
    """Documents of 0 to 30 tokens, each another, and the group of each token."""
    rng, groups, count = np.random.default_rng(seed), {}, 1
    with TokenStoreWriter(
        directory, vocab_size=5000, tokenizer="", separator=separator, shard_tokens=150, grouped_by="test"
    ) as writer:
        for document in range(40):
            size, name = int(rng.integers(0, 30)), NAMES[document % 3 if document < 3 else int(rng.integers(3))]
            writer.append(np.arange(count, count + size), size, name)
            groups |= dict.fromkeys(range(count, count + size), name)
            count += size
    return TokenStore(directory), groups


@pytest.mark.parametrize("separator", [0, None])
@given(seed=st.integers(0, 999), length=st.integers(1, 50), epoch=st.integers(0, 9), which=st.integers(0, 3))
def test_groups_are_those_of_the_documents(
    tmp_path_factory: pytest.TempPathFactory, separator: int | None, seed: int, length: int, epoch: int, which: int
) -> None:
    store, groups = write(tmp_path_factory.mktemp("store"), seed, separator)
    packing = PACKINGS[which] if separator is not None else Windows()
    bare = packing.training(store, length)
    table = MetadataGroups(NAMES).table("", store, lambda stream: packing.training(stream, length))
    assert (table.rows, table.tokens) == (bare.rows, bare.tokens)
    numbers = np.random.default_rng(seed).permutation(table.rows)
    found, plain = (empty_rows(table.rows, length, packing.keeps_apart, grouped=g) for g in (True, False))
    for rows, filler in ((found, table), (plain, bare)):
        half = table.rows // 2
        for at in (np.arange(half), np.arange(half, table.rows)):
            filler.fill(rows, at, numbers[at], np.full(at.size, epoch, np.uint64))
    for mine, other in zip(found[:-1], plain[:-1], strict=True):
        assert np.array_equal(mine, other) if other is not None else mine is None
    assert found.groups.dtype == np.int32 and not found.groups[found.weights == 0].any()
    seen = 0
    for row, place in zip(*np.nonzero(found.weights), strict=True):
        # A separator ends the document that the token before it is of, which may have no other.
        token = int(found.targets[row, place]) or int(found.inputs[row, place])
        if token:
            seen += 1
            assert NAMES[found.groups[row, place]] == groups[token]
    assert seen


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    """Two corpora of documents of one letter each, which `kind` tells; some have none."""
    top, rng, found = tmp_path_factory.mktemp("data"), np.random.default_rng(0), {}
    for name, groups in RECIPES.items():
        lines = []
        for document in range(200):
            letter = "abx"[document % 3]
            kind = {} if letter == "x" else {"kind": letter}
            lines.append(json.dumps({"text": letter * int(rng.integers(1, 30)), "id": str(document), **kind}))
        (top / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        found[name] = recipe(top / f"{name}.jsonl", groups).prepare(top / name, lambda line: None)
    return found


def recipe(path: Path, groups: GroupBy | None) -> Recipe:
    return Recipe(JsonLines(str(path)), (), HashSplit(0.2), Bytes(special=SPECIAL), groups=groups)


def read(prepared: Prepared, form: Format, host: int = 0, hosts: int = 1) -> Training:
    spec = Mixture(tuple(Part(name, recipe(Path("."), None)) for name in prepared.parts)) if prepared.parts else None
    spec = spec or recipe(Path("."), None)
    said: list[str] = []
    return training(spec, prepared, form, batch=4, steps=40, seed=3, host=host, hosts=hosts, log=said.append)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("targets", [NextToken(), PrefixLM(), MaskedLM(), FillInTheMiddle(rate=1.0)])
def test_batches_have_the_groups_of_their_targets(
    made: dict[str, Prepared], packing: Packing, targets: Targets
) -> None:
    names = ("unknown", "b", "a")
    form = Format(packing, targets, 24, MetadataGroups(names))
    whole = list(itertools.islice(read(made["grouped"], form).pipeline.from_step(2), 20))
    halves = [list(itertools.islice(read(made["grouped"], form, h, 2).pipeline.from_step(2), 20)) for h in range(2)]
    letters, found = {ord("x"): 0, ord("b"): 1, ord("a"): 2}, set()
    for number, (_, batch) in enumerate(whole):
        assert batch["groups"].dtype == np.int32 and batch["groups"].shape == (4, 24)
        together = np.concatenate([half[number][1]["groups"] for half in halves])
        assert np.array_equal(together, batch["groups"])
        for target, group in zip(batch["targets"].ravel().tolist(), batch["groups"].ravel().tolist(), strict=True):
            if target in letters:
                found.add(group)
                assert group == letters[target]
    assert found == {0, 1, 2}


def test_without_a_grouping_the_batch_is_what_it_was(made: dict[str, Prepared]) -> None:
    names = ("a", "b", "unknown")
    grouped, plain, unasked = (
        next(read(made[name], Format(BestFit(), NextToken(), 24, groups)).pipeline.from_step(7))[1]
        for name, groups in (("grouped", MetadataGroups(names)), ("plain", None), ("grouped", None))
    )
    assert set(plain) == set(unasked) == set(grouped) - {"groups"}
    assert all(np.array_equal(array, grouped[name]) for name, array in unasked.items())
    form = Format(BestFit(), NextToken(), 24, MetadataGroups(names))
    [*held_out] = form.evaluation(made["grouped"].validation, made["grouped"].tokenizer, 4)
    assert all("groups" not in batch for batch in held_out)


def test_parts_of_a_mixture_are_groups(made: dict[str, Prepared], tmp_path: Path) -> None:
    mixture = Mixture(tuple(Part(name, recipe(Path("."), None)) for name in made))
    prepared = mixture._together(epath.Path(tmp_path), made)
    form = Format(BestFit(), NextToken(), 24, PartGroups(("plain", "grouped")))
    reading = read(prepared, form)
    bare = {
        name: table.rows for name, table in Format(BestFit(), NextToken(), 24).tables(prepared).items()
    }
    assert {name: table.rows for name, table in reading.account.tables.items()} == bare
    counts = np.zeros(2, int)
    for step, batch in itertools.islice(reading.pipeline.from_step(0), 20):
        source = reading.pipeline.plan.slots(step).source
        for row, number in enumerate(source.tolist()):
            real = batch["weights"][row] > 0
            assert (batch["groups"][row] == np.where(real, 1 - number, 0)).all()
            counts[number] += 1
    assert counts.all()


@pytest.mark.parametrize(
    ("kind", "groups", "message"),
    [
        ("plain", MetadataGroups(("a", "b")), "has no groups of documents; prepare it again with a recipe that says"),
        ("grouped", MetadataGroups(("a", "b")), "names a, b, but .* have the groups a, b, unknown; name these"),
        ("grouped", MetadataGroups(("a", "b", "unknown", "d")), "have the groups a, b, unknown; name these"),
        ("grouped", PartGroups(("a",)), "the parts are one that has no name: the data is no mixture"),
    ],
)
def test_groups_that_are_not_there(made: dict[str, Prepared], kind: str, groups: Grouping, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(made[kind], Format(BestFit(), NextToken(), 24, groups))


@pytest.mark.parametrize("targets", [SpanCorruption(), UL2()])
def test_targets_that_take_text_apart_have_no_groups(targets: Targets) -> None:
    with pytest.raises(ValueError, match="cannot say which group each target is of; leave batch.groups out"):
        _ = Format(Windows(), targets, 64, MetadataGroups(("a",))).fields


def test_names_are_given_once() -> None:
    for names in ((), ("a", "a")):
        with pytest.raises(ValueError, match="give the name of each group once, and at least one"):
            MetadataGroups(names)
