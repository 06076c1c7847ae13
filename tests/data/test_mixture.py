"""Mixtures as specs: what they prepare, what they say of a run, and what they refuse."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from data.mixture import BySize, Joining, Mixture, Part, Ramp
from data.packing import Padded, Windows
from data.prepared import DataSpec, ExistingStore, Prepared
from data.recipe import Recipe
from data.sources import TextFiles
from data.spec import build, describe, override
from data.split import TailSplit
from data.tokenizers import Bytes, Characters, TokenizerSpec


def recipe(path: Path, letter: str, characters: int, tokenizer: TokenizerSpec | None = None) -> Recipe:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(letter * characters)
    return Recipe(TextFiles(str(path)), (), TailSplit(0.1), tokenizer or Bytes())


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Recipe]:
    return {name: recipe(tmp_path / f"{name}.txt", name, 1000 * (i + 1)) for i, name in enumerate("abc")}


def parts(texts: dict[str, Recipe]) -> tuple[Part, ...]:
    return tuple(Part(name, data) for name, data in texts.items())


def quiet(line: str) -> None:
    pass


def test_a_mixture_is_prepared_part_by_part(texts: dict[str, Recipe], tmp_path: Path) -> None:
    said: list[str] = []
    made = Mixture(parts(texts)).prepare(tmp_path / "data", said.append)
    assert list(made.sources) == list("abc")
    assert len(made.train) == sum(len(part.train) for part in made.parts.values())
    text = made.tokenizer.decode(made.validation.tokens(0, len(made.validation)))
    assert text.count("a") == 100 and text.count("b") == 200 and text.count("c") == 300
    assert all(line.startswith(("data: a: ", "data: b: ", "data: c: ")) for line in said)
    # The card counts all, and its page shows those of all parts.
    card = json.loads((tmp_path / "data" / "data_card.json").read_text())
    assert card == made.card and card["splits"]["train"]["tokens"] == len(made.train)
    page = (tmp_path / "data" / "data_card.html").read_text()
    assert page.count("<h1>Part: ") == 3 and page.count("</html>") == 1
    # Once ready it is opened, also part by part and by who may not write.
    said.clear()
    again = Mixture(parts(texts)).prepare(tmp_path / "data", said.append)
    assert again.train.fingerprint() == made.train.fingerprint() and all("ready" in line for line in said)
    assert Mixture(parts(texts)).open(tmp_path / "data").card == card
    alone = ExistingStore(tmp_path / "data" / "b").prepare(tmp_path / "never", quiet)
    assert alone.sources == {"": alone}
    assert alone.train.fingerprint() == made.parts["b"].train.fingerprint()
    existing = tuple(Part(name, ExistingStore(tmp_path / "data" / name)) for name in "abc")
    assert Mixture(existing).fingerprint() == Mixture(parts(texts)).fingerprint()
    assert Mixture(existing[:2]).fingerprint() != Mixture(existing).fingerprint()


def shares(mixture: Mixture, made: Prepared, step: int = 0) -> list[float]:
    tables = [Windows().training(part.train, 10) for part in made.parts.values()]
    return [float(share) for share in mixture.timeline(tables, 1000, 10**6).shares(step)]


def test_weights(texts: dict[str, Recipe], tmp_path: Path) -> None:
    mixture = Mixture(parts(texts))
    made = mixture.prepare(tmp_path / "data", quiet)
    rows = [len(part.train) // 10 for part in made.parts.values()]
    assert shares(mixture, made) == pytest.approx([r / sum(rows) for r in rows], rel=0.01)
    # T5's formulas: sizes to the power of 1/T, none above the limit.
    powers = [r ** (1 / 4) for r in rows]
    warm = dataclasses.replace(mixture, temperature=4.0)
    assert shares(warm, made) == pytest.approx([p / sum(powers) for p in powers], rel=0.01)
    capped = dataclasses.replace(mixture, limit=900)
    assert shares(capped, made) == pytest.approx([1 / 3] * 3, rel=0.02)
    weights = {"a": 5.0, "b": 3.0, "c": 2.0}
    given = Mixture(tuple(Part(name, texts[name], weight) for name, weight in weights.items()))
    assert shares(given, made) == [0.5, 0.3, 0.2]
    joined = Mixture((*parts(texts)[:2], Part("c", texts["c"], Joining(100, 0.4))))
    assert shares(joined, made, 99)[2] == 0 and shares(joined, made, 100)[2] == pytest.approx(0.4, rel=1e-3)


def test_rows_that_are_not_full_count_for_their_tokens(texts: dict[str, Recipe], tmp_path: Path) -> None:
    """Ten rows of ten tokens, and as many tokens in rows that are half as full: twice as many of these are read."""
    (tmp_path / "full").mkdir()
    (tmp_path / "half").mkdir()
    for number in range(60):
        (tmp_path / "full" / f"{number:02}.txt").write_text("x" * 19)
        for half in "ab":
            (tmp_path / "half" / f"{number:02}{half}.txt").write_text("x" * 9)
    recipes = {
        name: Recipe(TextFiles(str(tmp_path / name)), (), TailSplit(0.1), Bytes()) for name in ("full", "half")
    }
    mixture = Mixture(parts(recipes))
    made = mixture.prepare(tmp_path / "data", quiet)
    tables = [Padded().training(part.train, 20) for part in made.parts.values()]
    assert tables[0].tokens == pytest.approx(tables[1].tokens, rel=0.05)
    share = [float(share) for share in mixture.timeline(tables, 300, 100).shares(0)]
    assert share == pytest.approx([1 / 3, 2 / 3], rel=0.05)


def test_a_part_is_read_no_more_often_than_it_may(texts: dict[str, Recipe], tmp_path: Path) -> None:
    mixture = Mixture((Part("a", texts["a"], 1.0, max_epochs=2.5), Part("b", texts["b"], 1.0)))
    made = mixture.prepare(tmp_path / "data", quiet)
    tables = [Windows().training(part.train, 10) for part in made.parts.values()]
    read = mixture.timeline(tables, 4, 500).rows(np.array([500]))[0]
    assert 2.5 * tables[0].rows - 4 <= read[0] <= 2.5 * tables[0].rows


def test_it_is_stored_and_changed_like_any_spec(texts: dict[str, Recipe]) -> None:
    mixture = Mixture((Part("a", texts["a"], Ramp(0.1, 0.9, 5, 50)), Part("b", texts["b"], 0.5, max_epochs=3.0)))
    assert build(json.loads(json.dumps(describe(mixture))), DataSpec) == mixture
    changed = override(mixture, ["parts.1.weight=0.25", "parts.0.weight=Joining(7, 0.5)"])
    assert changed.parts[1].weight == 0.25 and changed.parts[0].weight == Joining(7, 0.5)


def test_what_is_added_joins_at_a_step(texts: dict[str, Recipe]) -> None:
    old = Mixture(parts(texts)[:2])
    new = Mixture((*old.parts, Part("c", texts["c"], Joining(70, 0.5)), Part("d", texts["c"], Joining(50, 0.1))))
    assert new.adds_from(old) == 50
    assert old.adds_from(old) is None and old.adds_from(new) is None and texts["a"].adds_from(old) is None
    assert Mixture((*old.parts, Part("c", texts["c"]))).adds_from(old) is None
    assert dataclasses.replace(new, temperature=2.0).adds_from(old) is None
    assert dataclasses.replace(new, parts=new.parts[1:]).adds_from(old) is None


def test_mixtures_that_cannot_be(texts: dict[str, Recipe], tmp_path: Path) -> None:
    a, b = texts["a"], texts["b"]
    for make, message in (
        (lambda: Mixture(()), "a mixture has no parts"),
        (lambda: Mixture((Part("a", a), Part("a", b))), "two parts of the mixture are called 'a'"),
        (lambda: Mixture((Part("a", a), Part("b", b, 0.5))), "some parts .* weighed by size and others by a number"),
        (lambda: Mixture((Part("a", a),), temperature=0.0), "temperature is 0.0, but must be above 0"),
        (lambda: Mixture((Part("a", a),), limit=0), "limit is 0, but must be at least 1"),
        (lambda: Part("a/b", a), "Part.name is 'a/b', but must be letters"),
        (lambda: Part("..", a), "Part.name is '..'"),
        (lambda: Part("a", a, -0.5), "Constant.weight is -0.5, but a weight is a number of at least 0"),
        (lambda: Part("a", a, max_epochs=0.0), "max_epochs of 'a' is 0.0, but must be above 0"),
        (lambda: Part("a", Mixture((Part("b", b),))), "part 'a' is a mixture itself"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    assert Mixture((Part("a", a, BySize()), Part("b", b, Joining(5, 0.5)))).parts[0].weight == BySize()
    other = recipe(tmp_path / "other.txt", "xyz", 100, Characters())
    with pytest.raises(ValueError, match="'other' was tokenized by .*, but 'a' by .*share one tokenizer"):
        Mixture((Part("a", a), Part("other", other))).prepare(tmp_path / "mixed", quiet)
    with pytest.raises(FileNotFoundError, match="b holds no prepared corpus"):
        Mixture((Part("b", b),)).open(tmp_path / "mixed")
