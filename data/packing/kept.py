"""A plan of pieces on disk, so that it is made once."""

from collections.abc import Callable

import numpy as np
from etils import epath

from data import atomic
from data.packing.pieces import Pieces


def kept(path: epath.Path, make: Callable[[], Pieces]) -> Pieces:
    """The plan at `path`, made and written there if there is none; only made where one cannot write.

    Processes that make the same plan at once do not disturb one another: each file is renamed into place, and
    all would write the same.
    """
    try:
        return _read(path)
    except (OSError, ValueError, EOFError):
        pieces = make()
    try:
        for name, array in pieces._asdict().items():
            with atomic.writing(_file(path, name)) as file:
                np.save(file, array, allow_pickle=False)
    except OSError:
        return pieces
    return _read(path)


def _read(path: epath.Path) -> Pieces:
    arrays = []
    for name in Pieces._fields:
        file = _file(path, name)
        if "://" in str(path):
            with file.open("rb") as stream:
                arrays.append(np.load(stream, allow_pickle=False))
        else:
            # A plain array over the mapping: slices of np.memmap itself cost several times more.
            arrays.append(np.asarray(np.load(str(file), mmap_mode="r", allow_pickle=False)))
    pieces = Pieces(*arrays)
    if pieces.starts.size != pieces.lengths.size or pieces.offsets[-1] != pieces.starts.size:
        raise ValueError(f"{path} holds files that do not belong together")
    return pieces


def _file(path: epath.Path, name: str) -> epath.Path:
    return path.parent / f"{path.name}-{name}.npy"
