"""A full disk is recognised in the words of every library that may meet one, and nothing else is taken for it."""

import errno

import pytest
from etils import epath

from train.full_disk import told

# As TensorFlow's summary writer, and TensorStore within Orbax, have said it.
WORDS = [
    "{{function_node __wrapped__FlushSummaryWriter}} /run/events.v2; No space left on device [Op:FlushSummaryWriter]",
    "RESOURCE_EXHAUSTED: Error writing '/run/c/0' [OS error 28: ENOSPC No space left on device]",
]


@pytest.mark.parametrize("words", WORDS)
def test_a_full_disk_is_told_with_the_directory(words: str) -> None:
    with pytest.raises(OSError) as raised, told(epath.Path("/run")):
        raise RuntimeError(words)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/run")


@pytest.mark.parametrize(
    "error", [ValueError("no space in the batch"), OSError(errno.ENOSPC, "No space left on device", "/a/file")]
)
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, told(epath.Path("/run")):
        raise error
    assert raised.value is error
