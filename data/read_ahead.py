"""The elements of a tf.data dataset as NumPy arrays, with an end that cannot hang.

A dataset that calls into Python is not safe to drop: Python frees its iterator with the
interpreter's lock held, the iterator waits for the calls that are under way, and these wait for
the lock. So the dataset is told to start no more, what is under way is read to its end, which
gives the lock up, and only then is the iterator dropped; also when the process ends.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any


class ReadAhead:
    """Iterates over `tf.data.Dataset.range(start, stop, step)` as `transform` makes it.

    Close it, use it as a context manager, or drop it.

    Args:
      start, stop, step: the range.
      transform: from the dataset of the range to one of dictionaries of tensors. It may read ahead,
        but must end when its input does.
    """

    def __init__(self, start: int, stop: int, step: int, transform: Callable[[Any], Any]) -> None:
        from data.tensorflow_cpu import tf

        running = tf.Variable(True, trainable=False)
        numbers = tf.data.Dataset.range(start, stop, step)
        dataset = transform(numbers.take_while(lambda number: running.read_value()))
        self._elements = dataset.as_numpy_iterator()
        # Called at the latest when this is dropped or the process ends, while what it is given lives.
        self.close = weakref.finalize(self, _end, self._elements, running)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._elements

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(elements: Iterator[Any], running: Any) -> None:
    from data.tensorflow_cpu import tf

    running.assign(False)
    while True:
        try:
            next(elements)
        except StopIteration:
            return
        except tf.errors.OpError:
            # Of one element; others may still be under way behind it.
            continue
