"""Rows as packing gives them, made document by document, and corrupted ones read back, for the tests of targets."""

import itertools

import numpy as np

from data.targets import Rows
from data.tokenizers import Bytes, sentinels

SPECIAL = ("<mask>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "[R]", "[S]", "[X]", *sentinels(200))
TOKENIZER = Bytes(special=SPECIAL).train([])
SEPARATOR = TOKENIZER.separator
SENTINELS = [TOKENIZER.special[name] for name in sentinels(200)]
MARKERS = frozenset(SENTINELS)
MODES = {TOKENIZER.special[name]: name for name in ("[R]", "[S]", "[X]")}


def make_rows(seed: int, rows: int, length: int, segments: bool = False, padded: bool = True) -> Rows:
    """Rows of documents of 0 to 12 bytes and a separator, the last cut where the row ends.

    With `padded`, some rows are shorter and some are empty.
    """
    rng = np.random.default_rng(seed)
    made = Rows(
        np.zeros((rows, length), np.int32),
        np.zeros((rows, length), np.int32),
        np.zeros((rows, length), np.float32),
        *(np.zeros((rows, length), np.int32) for _ in range(2 * segments)),
    )
    for row in range(rows):
        filled = int(rng.integers(0, length + 1)) if padded and rng.random() < 0.5 else length
        place, document, before = 0, 0, SEPARATOR
        while place < filled:
            document += 1
            text = [*rng.integers(0, 256, rng.integers(0, 13)).tolist(), SEPARATOR]
            for position, token in enumerate(text[: filled - place]):
                made.inputs[row, place], made.targets[row, place] = before, token
                made.weights[row, place] = 1
                if segments:
                    made.segment_ids[row, place], made.positions[row, place] = document, position
                before, place = token, place + 1
    return made


def make_keys(seed: int, rows: int) -> np.ndarray:
    """A key for each row."""
    return np.random.default_rng(seed).integers(0, 2**64, rows, np.uint64)


def texts(rows: Rows) -> list[list[int]]:
    """The tokens of each row, without padding."""
    return [t[w > 0].tolist() for t, w in zip(rows.targets, rows.weights, strict=True)]


def documents_of(rows: Rows, row: int) -> list[list[int]]:
    """The tokens of each document of a row, as its separators tell."""
    found: list[list[int]] = [[]]
    for token in texts(rows)[row]:
        found[-1].append(token)
        if token == SEPARATOR:
            found.append([])
    return found if found[-1] else found[:-1]


def examples(batch: dict[str, np.ndarray]) -> list[tuple[list[int], list[int]]]:
    """Source and target of each row of a batch of either layout, with mode and without ends."""
    found = []
    for row in range(len(batch["targets"])):
        weights, targets = batch["weights"][row], batch["targets"][row]
        target = targets[weights > 0].tolist()
        if "source" in batch:
            source = batch["source"][row][batch["source_segment_ids"][row] > 0].tolist()
            source = source[:-1] if target else source
        else:
            assert batch["inputs"][row][0] == SEPARATOR
            source = batch["inputs"][row][batch["prefix"][row] > 0].tolist()[1:]
        assert not target or target.pop() == SEPARATOR
        found.append((source, target))
    return found


def rebuilt(source: list[int], target: list[int]) -> list[int]:
    """The text that a source and its target were made from."""
    if source and source[0] in MODES:
        source = source[1:]
    if not set(target) & MARKERS:
        return source + target
    taken: dict[int, list[int]] = {}
    for token in target:
        if token in MARKERS:
            span = taken[token] = []
        else:
            span.append(token)
    return list(itertools.chain.from_iterable(taken.get(token, [token]) for token in source))
