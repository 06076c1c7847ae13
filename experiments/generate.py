"""Continues prompts with a run's model.

    python -m experiments.generate --run=DIR --prompt='Once upon a time' [--prompt=...]

A prompt `-` is read from standard input. A prompt stands at the beginning of a document.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from data import console

console.quiet()

if TYPE_CHECKING:
    from experiments.restore import OpenRun
    from model.decoding import Sampler

DEFAULT_NEW_TOKENS = 200
_REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast it went, without compilation: the best of three.

    Attributes:
      prefill: tokens of prompts read per second; the first new token is counted to it.
      decode: new tokens per second over all prompts after the first; None if there was only one.
    """

    prefill: float
    decode: float | None


def continue_prompts(
    opened: "OpenRun", prompts: Sequence[str], new_tokens: int, sampler: "Sampler", seed: int = 0
) -> list[str]:
    """The text that the model adds to each prompt.

    Raises ValueError for a prompt that cannot be encoded, or where the position encoding is too short.
    """
    from experiments.samples import continuation
    from model.decoding import generate
    from sharding.axes import active

    tokenizer = opened.prepared.tokenizer
    encoded = _encoded(opened, prompts)
    with active(opened.layout):
        made = generate(
            opened.decoder(), encoded, new_tokens=new_tokens, sampler=sampler, seed=seed, stop=tokenizer.separator
        )
    return [continuation(tokenizer, prompt, new) for prompt, new in zip(encoded, made, strict=True)]


def fitting(opened: "OpenRun", prompts: Sequence[str]) -> int:
    """How many new tokens the position encoding has room for, up to the default."""
    longest, prompt = opened.experiment.model.longest, max(map(len, _encoded(opened, prompts)))
    return DEFAULT_NEW_TOKENS if longest is None else max(min(DEFAULT_NEW_TOKENS, longest[0] - prompt), 1)


def speed(opened: "OpenRun", prompts: Sequence[str], new_tokens: int, sampler: "Sampler", seed: int = 0) -> Speed:
    """Times reading the prompts, and what each further token adds."""
    from model.decoding import generate
    from sharding.axes import active

    encoded, model = _encoded(opened, prompts), opened.decoder()

    def seconds(tokens: int) -> float:
        times = []
        for _ in range(1 + _REPEATS):
            began = time.perf_counter()
            generate(model, encoded, new_tokens=tokens, sampler=sampler, seed=seed)
            times.append(time.perf_counter() - began)
        return min(times[1:])  # the first one compiled

    with active(opened.layout):
        first = seconds(1)
        rest = seconds(new_tokens) - first if new_tokens > 1 else 0.0
    decode = len(encoded) * (new_tokens - 1) / rest if rest > 0 else None
    return Speed(sum(map(len, encoded)) / first, decode)


def _encoded(opened: "OpenRun", prompts: Sequence[str]) -> list[list[int]]:
    from experiments.samples import encode

    return [encode(opened.prepared.tokenizer, prompt) for prompt in prompts]


def readable(prompts: Sequence[str], continuations: Sequence[str]) -> str:
    """Prompts with what follows, and a rule between them if there are several."""
    from experiments.samples import visible

    texts = [visible(prompt + new) for prompt, new in zip(prompts, continuations, strict=True)]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"--- {number} of {len(texts)} ---\n{text}" for number, text in enumerate(texts, 1))


def main(argv: list[str]) -> None:
    """Continues as the flags say."""
    given = flags.FLAGS
    if given.prompt.count("-") > 1:
        raise console.UsageError("--prompt=- is given twice, but standard input can be read once")
    if given.greedy and any(given[name].present for name in ("temperature", "top_k", "top_p")):
        raise console.UsageError("--greedy takes the most probable token; leave out --temperature, --top_k and --top_p")

    from data.user_code import load_file, usage
    from experiments.restore import find_run, open_run, placement_of
    from experiments.samples import sampler

    for path in given["import"].value:
        load_file(path)
    run = find_run(given.run)
    with usage("flags"):
        chosen = sampler(0 if given.greedy else given.temperature, given.top_k, given.top_p)
    prompts = [_stdin() if prompt == "-" else prompt for prompt in given.prompt]

    opened = open_run(run.path, placement_of(given.placement), lambda line: print(line, file=sys.stderr))
    with usage("--prompt"):
        new_tokens = given.new_tokens or fitting(opened, prompts)
        continuations = continue_prompts(opened, prompts, new_tokens, chosen, given.seed)
    print(readable(prompts, continuations))
    if given.stats:
        measured = speed(opened, prompts, new_tokens, chosen, given.seed)
        decode = f"{measured.decode:,.0f} tokens/s" if measured.decode else "not measurable"
        print(
            f"\nspeed: prefill {measured.prefill:,.0f} tokens/s, decode {decode}; {len(prompts)} prompts, {new_tokens} "
            f"new tokens each, {opened.layout.mesh.size} x {opened.layout.platform}, without compilation"
        )


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise console.UsageError(f"--prompt=-: standard input is not UTF-8 at byte {error.start}") from error


if __name__ == "__main__":
    flags.DEFINE_string("run", None, "run directory with the model", required=True)
    flags.DEFINE_multi_string("prompt", None, "text to continue, - for standard input; may be repeated", required=True)
    flags.DEFINE_integer(
        "new_tokens", None, "most tokens to add to each; as many as there are positions for, up to 200, if not given",
        lower_bound=1,
    )
    flags.DEFINE_float("temperature", 1.0, "of the softmax; 0 takes the most probable token", lower_bound=0.0)
    flags.DEFINE_integer("top_k", 0, "keep the k most probable tokens; 0 keeps all", lower_bound=0)
    flags.DEFINE_float("top_p", 1.0, "keep the most probable tokens until they hold this probability")
    flags.DEFINE_bool("greedy", False, "take the most probable token each time")
    flags.DEFINE_integer("seed", 0, "of the draws")
    flags.DEFINE_bool("stats", False, "also print how fast it went")
    flags.DEFINE_string("placement", "", "how the model lies on devices, such as FullySharded(); whole on each if not")
    flags.DEFINE_multi_string("import", [], "Python file with types of your own, that the run's config names")
    console.run(main)
