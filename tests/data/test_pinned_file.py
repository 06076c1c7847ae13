"""A pinned file has the content that its spec says."""

import hashlib

import pytest

from data.pinned_file import PinnedFile
from data.spec import describe


def test_content_is_checked(tmp_path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"one\ntwo\n")
    digest = hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert PinnedFile(str(path), digest).read() == b"one\ntwo\n"
    path.write_bytes(b"one\nTwo\n")
    with pytest.raises(ValueError, match=f"words.txt has the SHA-256 [0-9a-f]*, but PinnedFile.sha256 says {digest}"):
        PinnedFile(str(path), digest).read()


def test_it_is_known_by_its_content_and_not_by_its_place() -> None:
    digest = "0" * 64
    assert describe(PinnedFile("a", digest), locations=False) == {"type": "PinnedFile", "sha256": digest}
    with pytest.raises(ValueError, match="PinnedFile.sha256 of a is '', but must be the 64 hexadecimal digits"):
        PinnedFile("a", "")
