"""Samples: what is written at the end of a run, and what stands in for prompts that cannot be used."""

import dataclasses

import pytest

from data.prepared import Prepared
from data.recipe import Recipe
from data.sources import TextFiles
from data.split import TailSplit
from data.tokenizers import Bytes, Characters
from experiments import samples
from model.decoding import Greedy, Sample
from model.positions import Learned

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def characters(tmp_path) -> Prepared:
    for name in ("a", "b", "c", "d", "e"):
        (tmp_path / f"{name}.txt").write_text(f"{name} is a letter and abcde are letters " * 3)
    recipe = Recipe(TextFiles(str(tmp_path / "*.txt")), (), TailSplit(0.9), Characters())
    return recipe.prepare(tmp_path / "prepared", lambda line: None)


def test_the_file_has_each_prompt_and_what_was_cut(trained) -> None:
    text = (trained.path / "samples.txt").read_text()
    # 64 positions, less a separator and the 25 characters of the longer prompt.
    assert "note: 38 new tokens instead of 100: Learned has 64 positions" in text
    assert f"--- sample 1 of 2, prompt {HOSTILE!r} ---\n{HOSTILE}" in text
    assert "--- sample 2 of 2, prompt 'One' ---\nOne" in text
    assert text.startswith("step 4: 2 samples of up to 38 tokens, temperature 0.8")


def test_samples_are_a_function_of_the_seed(trained) -> None:
    from experiments.restore import open_run
    from train.hooks import Moment

    opened = open_run(trained.path)
    written = {}
    for seed in (0, 0, 1):
        run = dataclasses.replace(opened)
        hook = samples.Samples(prompts=(HOSTILE, "One"), new_tokens=100, seed=seed)
        path = trained.path.parent / f"seed{len(written)}"
        path.mkdir(exist_ok=True)
        directory = type(run.run)(path)
        hook.at_end(Moment(trained.experiment, directory, run.prepared, run.model, 4, {}, lambda line: None))
        written.setdefault(seed, []).append(directory.samples.read_text())
    # What the run itself wrote has the same seed.
    assert written[0][0] == written[0][1] == (trained.path / "samples.txt").read_text()
    assert written[1][0].split("---", 1)[1] != written[0][0].split("---", 1)[1]


def test_validation_text_stands_in_for_what_cannot_be_encoded(characters: Prepared) -> None:
    prompts, notes = samples.chosen(("é", "abc"), characters)
    assert samples.text_of(characters.tokenizer, prompts[0]) == "abc"
    document = characters.tokenizer.decode(characters.validation.tokens(0, 24))
    assert samples.text_of(characters.tokenizer, prompts[1]) == document
    assert len(notes) == 1 and "'é'" in notes[0]


def test_no_prompts_means_the_beginnings_of_documents(characters: Prepared) -> None:
    prompts, notes = samples.chosen((), characters)
    ends = characters.validation.document_ends().tolist()
    starts = [0, *ends[:-1]]
    whole = characters.tokenizer.decode(characters.validation.tokens(0, len(characters.validation)))
    assert not notes and len(prompts) == 3
    for prompt in prompts:
        assert samples.text_of(characters.tokenizer, prompt) in [whole[s : s + 24] for s in starts]


def test_one_document_gives_as_many_prompts_as_are_asked_for(trained) -> None:
    store = Prepared.open(trained.path / "data").validation
    prompts = samples.beginnings(store, 3)
    assert len({tuple(prompt) for prompt in prompts}) == 3
    assert all(prompt[0] == store.separator and prompt.count(store.separator) == 1 for prompt in prompts)


@pytest.mark.parametrize(
    ("longest", "lengths", "new", "kept", "fits"),
    [
        (None, [90], 100, [90], 100),
        ((20, Learned(20)), [4, 7], 5, [4, 7], 5),
        ((20, Learned(20)), [4, 7], 50, [4, 7], 13),
        ((20, Learned(20)), [4, 70], 50, [4, 10], 10),
    ],
)
def test_what_is_asked_for_fits_the_positions(longest, lengths, new, kept, fits) -> None:
    prompts, tokens, notes = samples.fitted([list(range(n)) for n in lengths], new, longest)
    assert ([len(prompt) for prompt in prompts], tokens) == (kept, fits)
    assert prompts[-1][-1] == lengths[-1] - 1
    assert len(notes) == (kept != lengths) + (fits != new)


def test_ids_that_the_tokenizer_lacks_do_no_harm() -> None:
    tokenizer = Bytes().train([])
    assert samples.text_of(tokenizer, [104, 300, 105]) == "hi"
    # The two bytes of one character, half of it in the prompt.
    assert samples.continuation(tokenizer, [104, 0xC3], [0xA9, 33]) == "\N{REPLACEMENT CHARACTER}!"


def test_terminals_are_not_told_what_to_do() -> None:
    assert samples.visible("a\x1b[2Jé\n\tb\r\0") == "a\\x1b[2Jé\n\tb\\x0d\\x00"


def test_values_that_cannot_be_are_refused_when_the_config_is_built() -> None:
    assert samples.sampler(0) == Greedy()
    assert samples.Samples(temperature=0.5, top_k=3).sampler() == Sample(0.5, 3, 0.95)
    for wrong in ({"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}, {"new_tokens": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            samples.Samples(**wrong)
