"""Words and names of one gender with their counterparts of the other."""

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from etils import epath

from data.pinned_file import PinnedFile
from data.sources.files import decode

_HERE = Path(__file__).parent
_HEADER = ["male", "female"]


class Names(abc.ABC):
    """Given names that change places: a frozen dataclass."""

    @abc.abstractmethod
    def pairs(self) -> dict[str, str]:
        """The other name of each, in lower case, in both directions; a name stands in one pair only.

        Raises:
          OSError: when a file cannot be read.
          ValueError: when a file is not as described.
        """


@dataclass(frozen=True)
class KeepNames(Names):
    """Names stay as they are."""

    def pairs(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class PairedNames(Names):
    """Pairs of names from a table.

    Attributes:
      file: tab-separated, with the columns "male" and "female", or None for the 47 most frequent American names
        of a century that are neither given to both nor common words (Social Security Administration), paired by rank.
    """

    file: PinnedFile | None = None

    def pairs(self) -> dict[str, str]:
        return read_pairs(self.file, "given_names.tsv")


@dataclass(frozen=True)
class ListedNames(Names):
    """Names from two lists, paired by their place: order both by frequency, and alike names are paired (Hall Maudslay
    et al., It's all in the name, 2019, arXiv:1909.00871, section 3.1, pair by frequency and by how far a name is one
    gender's). Names in both lists stay as they are.

    Attributes:
      male, female: files with a name a line; what the longer has more stays as it is.
    """

    male: PinnedFile
    female: PinnedFile

    def pairs(self) -> dict[str, str]:
        male, female = (_lines(file) for file in (self.male, self.female))
        both = set(male) & set(female)
        own = [[name for name in names if name not in both] for names in (male, female)]
        return _both_ways(zip(*own, strict=False), f"{self.male.path} and {self.female.path}")


def read_pairs(file: PinnedFile | None, built_in: str) -> dict[str, str]:
    """The pairs of a tab-separated file with the columns "male" and "female", in lower case and both directions.

    Args:
      file: which, or None for one that comes with the project.
      built_in: the name of that one.

    Raises:
      OSError: when the file cannot be read.
      ValueError: when it is not as described, or a word stands in two pairs.
    """
    path = file.path if file else _HERE / built_in
    content = decode(file.read() if file else epath.Path(path).read_bytes(), str(path))
    header, *rows = [line.split("\t") for line in content.splitlines() if line.strip()] or [[]]
    if header != _HEADER:
        raise ValueError(f"{path} begins with {header}, but must have the columns {_HEADER}, separated by tabs")
    for number, row in enumerate(rows, start=2):
        if len(row) != 2 or not all(part.strip().isalpha() for part in row):
            raise ValueError(f"{path}: row {number} is {row}, but must be two words separated by a tab")
    return _both_ways(((one.strip().lower(), other.strip().lower()) for one, other in rows), str(path))


def _both_ways(pairs: Iterable[tuple[str, ...]], place: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for one, other in pairs:
        for word, counterpart in ((one, other), (other, one)):
            if word in found:
                raise ValueError(f"{place} has '{word}' in two pairs, so that a swap could not be undone")
            found[word] = counterpart
    return found


def _lines(file: PinnedFile) -> list[str]:
    lines = (line.strip().lower() for line in decode(file.read(), str(file.path)).splitlines())
    return list(dict.fromkeys(line for line in lines if line.isalpha()))
