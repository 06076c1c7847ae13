"""For tests of whole runs: programs that compile in half the time."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """XLA leaves out most of its optimisations, for tests that ask what a run does and not how its numbers round."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
