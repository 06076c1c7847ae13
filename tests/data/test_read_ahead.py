"""Reading ahead ends, however and whenever it is ended, while calls into Python are under way."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.read_ahead import ReadAhead

ROOT = Path(__file__).parents[2]
# Calls that hold the interpreter's lock on and off, longer than an iterator takes to be dropped.
BUSY = """
import time
import numpy as np
from data.read_ahead import ReadAhead
from data.tensorflow_cpu import tf

def slow(number):
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    return number

def read(number):
    return {"number": tf.ensure_shape(tf.numpy_function(slow, [number], tf.int64), ())}

def reading():
    return ReadAhead(0, 10**9, 1, lambda numbers: numbers.map(read, num_parallel_calls=4).prefetch(8))

def from_zero():
    with reading() as reader:
        yield from reader

"""


@pytest.mark.parametrize(
    "ending",
    [
        "for _ in range(20): numbers = from_zero(); next(numbers); del numbers",
        "numbers = from_zero(); next(numbers)",
        pytest.param("numbers = from_zero(); next(numbers); raise SystemExit", marks=pytest.mark.slow),
        pytest.param("reader = reading(); numbers = iter(reader); next(numbers); del numbers, reader",
                     marks=pytest.mark.slow),
    ],
)
def test_a_process_ends_with_calls_under_way(ending: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY + ending], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_elements_are_those_of_the_dataset() -> None:
    from data.tensorflow_cpu import tf

    def element(i):
        return {"b": [i, 2 * i], "a": tf.cast(i, tf.float32)}

    with ReadAhead(3, 12, 2, lambda numbers: numbers.map(element)) as reader:
        found = list(reader)
    assert [sorted(element) for element in found] == [["a", "b"]] * 5
    for i, element in zip((3, 5, 7, 9, 11), found, strict=True):
        assert element["a"].dtype == np.float32 and element["a"] == i
        assert element["b"].dtype == np.int64 and element["b"].tolist() == [i, 2 * i]


def test_a_closed_reader_gives_no_more() -> None:
    reader = ReadAhead(0, 10**9, 1, lambda numbers: numbers.map(lambda i: {"i": i}).prefetch(4))
    numbers = iter(reader)
    kept = list(itertools.islice(numbers, 3))
    reader.close()
    reader.close()
    assert list(numbers) == [] and [int(element["i"]) for element in kept] == [0, 1, 2]


def test_an_error_ends_reading_but_not_closing() -> None:
    from data.tensorflow_cpu import tf

    def read(numbers):
        # Infinite for the third element.
        halves = numbers.map(lambda i: 2.0 / tf.cast(2 - i, tf.float64))
        return halves.map(lambda x: {"i": tf.debugging.check_numerics(x, "")}).prefetch(4)

    with ReadAhead(0, 10**9, 1, read) as reader:
        numbers = iter(reader)
        assert next(numbers)["i"] == 1
        assert next(numbers)["i"] == 2
        with pytest.raises(tf.errors.InvalidArgumentError):
            next(numbers)
