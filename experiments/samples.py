"""Samples at the end of a run: what the model writes, for people to read."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh, NamedSharding

from data import atomic
from data.prepared import Prepared
from data.store import TokenStore
from data.tokenizers import Tokenizer
from model.decoding import Greedy, Sample, Sampler, generate
from model.positions import Positions
from sharding.axes import ActiveLayout, active
from sharding.hosts import is_lead
from sharding.placement import Layout
from train.experiment import Experiment
from train.hooks import Hook, Moment

# Of a validation document, or of a prompt too long for the position encoding.
_BEGINNING = 24
_FROM_VALIDATION = 3


@dataclasses.dataclass(frozen=True)
class Samples(Hook):
    """Continues some prompts at the end, and writes `samples.txt`.

    Attributes:
      prompts: what to continue; if empty, the beginnings of some validation documents.
      new_tokens: the most to add to each.
      temperature: of the softmax; 0 takes the most probable token.
      top_k: keep the k most probable tokens; 0 keeps all.
      top_p: keep the most probable tokens until they hold this probability; 1 keeps all.
      seed: of the draws.
    """

    prompts: tuple[str, ...] = ("The", "It is", "In the")
    new_tokens: int = 200
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.new_tokens < 1:
            raise ValueError(f"Samples.new_tokens is {self.new_tokens}; it is at least 1")
        self.sampler()

    def sampler(self) -> Sampler:
        """How tokens are chosen."""
        return sampler(self.temperature, self.top_k, self.top_p)

    def check(self, experiment: Experiment) -> None:
        """Raises ValueError for a model that does not continue texts."""
        from experiments.restore import check_decoder

        check_decoder(experiment.model, "hooks: Samples is asked for, and model")

    def at_end(self, moment: Moment) -> None:
        """Samples on all processes; the lead writes."""
        prepared = moment.prepared
        prompts, notes = chosen(self.prompts, prepared)
        prompts, new_tokens, cut = fitted(prompts, self.new_tokens, moment.experiment.model.longest)
        notes += cut
        with active(on_every_device(moment.experiment.placement.on())):
            made = generate(
                moment.model(),
                prompts,
                new_tokens=new_tokens,
                sampler=self.sampler(),
                seed=self.seed,
                stop=prepared.tokenizer.separator,
            )
        if not is_lead():
            return
        texts = [
            (text_of(prepared.tokenizer, prompt), continuation(prepared.tokenizer, prompt, new))
            for prompt, new in zip(prompts, made, strict=True)
        ]
        how = "greedy" if self.temperature == 0 else f"temperature {self.temperature:g}, top_k {self.top_k}, "
        how += "" if self.temperature == 0 else f"top_p {self.top_p:g}, seed {self.seed}"
        heading = f"step {moment.step}: {len(prompts)} samples of up to {new_tokens} tokens, {how}"
        atomic.write_text(moment.directory.samples, written(heading, notes, texts))
        moment.log(f"samples: {len(prompts)} of up to {new_tokens} tokens, in {moment.directory.samples}")


@dataclasses.dataclass(frozen=True)
class _Whole(ActiveLayout):
    """A layout in which every device works on all the prompts, so that each process can read what was made."""

    layout: Layout

    @property
    def platform(self) -> str:
        return self.layout.platform

    @property
    def mesh(self) -> Mesh:
        return self.layout.mesh

    def activation(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> NamedSharding | None:
        return None if self.layout.mesh.size == 1 else self.layout.replicated


def on_every_device(layout: Layout) -> ActiveLayout:
    """The layout in which every device works on all rows."""
    return _Whole(layout)


def sampler(temperature: float, top_k: int = 0, top_p: float = 1.0) -> Sampler:
    """The sampler of these values; greedy for temperature 0. Raises ValueError for values that cannot be."""
    if temperature == 0:
        return Greedy()
    return Sample(temperature, top_k, top_p)


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """A prompt as tokens: a document begins after a separator, where the tokenizer has one.

    Raises ValueError if the text cannot be encoded, or nothing is left of it.
    """
    tokens = tokenizer.encode(text).tolist()
    if tokenizer.separator is not None:
        tokens = [tokenizer.separator, *tokens]
    if not tokens:
        raise ValueError("a prompt is empty, and this tokenizer has no separator to begin a document with")
    return tokens


def chosen(texts: Sequence[str], prepared: Prepared) -> tuple[list[list[int]], list[str]]:
    """Prompts as tokens, with notes on those for which validation text had to stand in."""
    prompts, notes = [], []
    for text in texts:
        try:
            prompts.append(encode(prepared.tokenizer, text))
        except ValueError as error:
            notes.append(f"instead of the prompt {text!r}, validation text: {error}")
    missing = (len(texts) or _FROM_VALIDATION) - len(prompts)
    return prompts + beginnings(prepared.validation, missing), notes


def beginnings(store: TokenStore, count: int) -> list[list[int]]:
    """The first tokens of `count` documents spread over the store; of stretches of it, if it has fewer."""
    if not count:
        return []
    ends = store.document_ends()
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) >= count else np.arange(count) * (len(store) // count)
    found = []
    for start in starts[np.arange(count) * len(starts) // count].tolist():
        tokens = store.tokens(start, min(start + _BEGINNING, len(store))).tolist()
        if store.separator is not None:
            tokens = tokens[: tokens.index(store.separator)] if store.separator in tokens else tokens
            tokens = [store.separator, *tokens]
        found.append(tokens)
    return found


def fitted(
    prompts: list[list[int]], new_tokens: int, longest: tuple[int, Positions] | None
) -> tuple[list[list[int]], int, list[str]]:
    """Prompts and a number of new tokens that the position encoding has room for, with notes on what was cut."""
    notes: list[str] = []
    if longest is None:
        return prompts, new_tokens, notes
    limit, positions = longest
    room = max(limit // 2, 1)
    if any(len(prompt) > room for prompt in prompts):
        prompts = [prompt[-room:] for prompt in prompts]
        notes.append(f"prompts were cut to their last {room} tokens: {type(positions).__name__} has {limit} positions")
    fits = limit - max(map(len, prompts))
    if new_tokens > fits:
        notes.append(f"{fits} new tokens instead of {new_tokens}: {type(positions).__name__} has {limit} positions")
    return prompts, min(new_tokens, fits), notes


def text_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The text of tokens, also of ids that the model has and the tokenizer has not."""
    return tokenizer.decode([token for token in tokens if token < tokenizer.vocab_size])


def continuation(tokenizer: Tokenizer, prompt: Sequence[int], new: Sequence[int]) -> str:
    """The text that new tokens add to a prompt; decoded together, since a space may hang on what is before it."""
    before, whole = text_of(tokenizer, prompt), text_of(tokenizer, [*prompt, *new])
    return whole.removeprefix(before) if whole.startswith(before) else text_of(tokenizer, new)


def visible(text: str) -> str:
    """The text with control characters shown rather than obeyed; line ends and tabs stay."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def written(heading: str, notes: Sequence[str], texts: Sequence[tuple[str, str]]) -> str:
    """The contents of `samples.txt`."""
    parts = [heading, *(f"note: {note}" for note in notes)]
    for number, (prompt, new) in enumerate(texts, 1):
        parts += ["", f"--- sample {number} of {len(texts)}, prompt {prompt!r} ---", visible(prompt + new)]
    return "\n".join(parts) + "\n"
