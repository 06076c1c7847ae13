"""Values inside of a forward pass, reached by name: for statistics, attribution, lenses and patching.

Layers say `observe(name, value)` where something may be of interest. Nobody listening, that costs nothing: the
traced program is the same. With `observing`, the values come out of the scan over layers and of rematerialisation.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from jaxtyping import Array

from model.kernels import Scores, Visibility

Keep = Callable[[str, Any], Mapping[str, Array]]


class Attended(NamedTuple):
    """What an attention layer takes its softmax of; observed as `scores`.

    Attributes:
      q: [batch, seq, heads, head_dim].
      k: [batch, keys, kv_heads, head_dim].
      seen: who sees whom.
      scores: how products become logits.
    """

    q: Array
    k: Array
    seen: Visibility
    scores: Scores


class _Observer(NamedTuple):
    keep: Keep
    found: dict[str, Array]


_active: contextvars.ContextVar[_Observer | None] = contextvars.ContextVar("observer", default=None)


@contextlib.contextmanager
def observing(keep: Keep) -> Iterator[dict[str, Array]]:
    """Collects what is observed while a program is traced: enter it inside of the function that is compiled.

    Args:
      keep: from a name and its value to what is kept of it, by name; `{}` keeps nothing. Names of a block are
        `stream` (after it), `query`, `key`, `value`, `scores` (an `Attended`), `attention` and `feedforward` (what
        these layers give), and `cross/...` for cross attention.

    Yields:
      What was kept, by `place/name` and with a leading axis of repeats, as with the weights of a stack.
    """
    observer = _Observer(keep, {})
    token = _active.set(observer)
    try:
        yield observer.found
    finally:
        _active.reset(token)


def everything(name: str, value: Any) -> Mapping[str, Array]:
    """Keeps all arrays as they are."""
    return {} if isinstance(value, Attended) else {name: value}


def observe(name: str, value: Any) -> None:
    """Shows a value to whoever observes."""
    if (observer := _active.get()) is not None:
        observer.found.update(observer.keep(name, value))


def observed() -> bool:
    """Whether anybody observes."""
    return _active.get() is not None


@contextlib.contextmanager
def apart() -> Iterator[dict[str, Array]]:
    """Collects apart what is observed in the block: within the body of a loop, whose values must leave as outputs."""
    observer = _active.get()
    if observer is None:
        yield {}
        return
    with observing(observer.keep) as found:
        yield found


def pass_on(prefix: str, found: Mapping[str, Array]) -> None:
    """Hands on what was collected apart, under `prefix/`."""
    if (observer := _active.get()) is not None:
        observer.found.update({f"{prefix}/{name}": value for name, value in found.items()})
