"""Generation from a run: against repeated full forward passes, and as a verb."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import generate
from experiments.restore import OpenRun, open_run, placement_of
from model.decoding import Greedy, Sample

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def opened(trained) -> OpenRun:
    return open_run(trained.path)


def greedily(opened: OpenRun, prompt: str, new_tokens: int) -> str:
    """The text that repeated full forward passes give; a document ends before its separator."""
    forward = jax.jit(lambda row: opened.model()(row))
    tokens, made = [256, *prompt.encode()], []
    for _ in range(new_tokens):
        padded = np.zeros((1, 64), np.int32)
        padded[0, : len(tokens)] = tokens
        token = int(np.argmax(np.asarray(forward(jnp.asarray(padded)))[0, len(tokens) - 1]))
        if token == 256:
            break
        tokens.append(token)
        made.append(token)
    return bytes(made).decode(errors="replace")


def test_greedy_text_is_that_of_repeated_full_passes(opened: OpenRun) -> None:
    prompts = ["12 green", "7"]
    found = generate.continue_prompts(opened, prompts, 12, Greedy())
    assert found == [greedily(opened, prompt, 12) for prompt in prompts]
    assert any(found)


@pytest.mark.parametrize("placement", ["FullySharded()", "TensorParallel(fsdp=2, data=2, tensor=2)"])
def test_greedy_text_is_the_same_from_weights_in_shares(trained, opened: OpenRun, placement: str) -> None:
    prompts = ["12 green", "7", "a", "bottle", "hanging", "may", "99", "on the wall"]
    shared = open_run(trained.path, placement_of(placement))
    texts = [generate.continue_prompts(one, prompts, 12, Greedy()) for one in (shared, opened)]
    assert texts[0] == texts[1] and any(texts[0])


def test_draws_are_a_function_of_the_seed(opened: OpenRun) -> None:
    draws = [generate.continue_prompts(opened, ["12"], 20, Sample(), seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_as_many_tokens_as_there_are_positions_for(opened: OpenRun) -> None:
    assert generate.fitting(opened, ["x" * 9, "x"]) == 64 - 10
    assert generate.fitting(opened, ["x" * 90]) == 1


def test_speed_is_measured(opened: OpenRun) -> None:
    found = generate.speed(opened, ["12 green"], 16, Greedy())
    assert found.prefill > 0 and (found.decode is None or found.decode > 0)
    assert generate.speed(opened, ["12 green"], 1, Greedy()).decode is None


def verb(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.generate", *arguments],
        cwd=ROOT, env={**os.environ}, input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_verb_reads_standard_input(trained, opened: OpenRun) -> None:
    run = f"--run={trained.path}"
    done = verb(run, "--prompt=-", "--prompt=7", "--greedy", "--new_tokens=8", stdin="12 green\n")
    assert done.returncode == 0, done.stderr
    expected = [prompt + greedily(opened, prompt, 8) for prompt in ("12 green", "7")]
    assert done.stdout == generate.readable(expected, ["", ""]) + "\n"
    assert not done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "is required"),
        (["--run=x", "--prompt=a", "--greedy", "--top_k=3"], "leave out"),
        (["--run=x", "--prompt=-", "--prompt=-"], "read once"),
        (["--run=x", "--prompt=a", "--new_tokens=0"], "new_tokens"),
    ],
)
def test_what_cannot_be_gets_one_sentence_and_status_2(arguments: list[str], words: str) -> None:
    done = verb(*arguments)
    assert done.returncode == 2 and words in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and not done.stdout
