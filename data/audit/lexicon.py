"""Lists of terms by group, to count in texts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etils import epath

from data.pinned_file import PinnedFile
from data.sources.files import decode

_BUILT_IN = Path(__file__).parent / "lexicons"


@dataclass(frozen=True)
class Lexicon:
    """A list of terms by group.

    Attributes:
      name: what it is called in tallies, without "/" and "&"; without a file also which of the lists that come with
        the project it is: age, disability, family_career, gender, insults, nationality, pleasant_unpleasant,
        profession or religion.
      file: a JSON file with an object of groups and their lists of terms, or None.

    Raises:
      ValueError: when there is no such list, or the name has a "/" or "&".
    """

    name: str
    file: PinnedFile | None = None

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("/&"):
            raise ValueError(f"Lexicon.name is '{self.name}', but must be a word without '/' and '&'")
        known = sorted(file.stem for file in _BUILT_IN.glob("*.json"))
        if self.file is None and self.name not in known:
            raise ValueError(f"there is no lexicon '{self.name}'; give a file, or one of {', '.join(known)}")

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The terms of each group.

        Raises:
          OSError: when the file cannot be read.
          ValueError: when it is not as described.
        """
        path = self.file.path if self.file else _BUILT_IN / f"{self.name}.json"
        content = self.file.read() if self.file else epath.Path(path).read_bytes()
        try:
            groups = json.loads(decode(content, str(path)))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{error.lineno} is not JSON: {error.msg}") from None
        if not isinstance(groups, dict) or not all(map(_is_group, groups.items())):
            raise ValueError(f"{path} must be a JSON object of groups (without '/' and '&') and their lists of terms")
        return {group: tuple(terms) for group, terms in groups.items()}


def _is_group(item: tuple[str, object]) -> bool:
    group, terms = item
    return not set(group) & set("/&") and isinstance(terms, list) and all(isinstance(term, str) for term in terms)
