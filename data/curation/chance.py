"""Chance that is a function of a document, so that a run made again decides alike."""

import hashlib

from data.document import Document


def chance(seed: int, document: Document) -> float:
    """A number in [0, 1) from the seed and the document's source and id, as good as random."""
    name = f"{seed}\0{document.source}\0{document.id}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") / 2**64 * (1 - 2**-53)
