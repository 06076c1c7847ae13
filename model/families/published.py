"""A published config.json, read with care: what it says is used or refused, never passed over in silence."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CONFIG = "config.json"
_MISSING = object()


class FamilyError(ValueError):
    """A published model that cannot be taken over, or a config that a family cannot express."""


class Published:
    """The values of a config.json.

    Args:
      values: the parsed file.
      place: what to call it in an error.
    """

    def __init__(self, values: Mapping[str, Any], place: str = CONFIG) -> None:
        self.values, self.place = values, place

    @classmethod
    def read(cls, directory: Path) -> "Published":
        """Reads `directory`/config.json.

        Raises FamilyError if it is missing or is no JSON object.
        """
        path = directory / CONFIG
        if not path.is_file():
            raise FamilyError(f"{directory} has no {CONFIG}, so it is no published model")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FamilyError(f"{path} is no JSON: {error}") from None
        if not isinstance(values, dict):
            raise FamilyError(f"{path} holds a {type(values).__name__}, not an object")
        return cls(values, str(path))

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """The value of a key; without a default it has to be there. A null counts as absent.

        Raises FamilyError naming the key.
        """
        value = self.values.get(key)
        if value is not None:
            return value
        if default is _MISSING:
            raise FamilyError(f"{self.place} lacks '{key}'")
        return default

    def nullable(self, key: str, default: Any) -> Any:
        """The value of a key for which a null means something else than its absence: a written null is None."""
        return self.values.get(key, default)

    def only(self, key: str, *allowed: Any) -> None:
        """Raises FamilyError unless a key is absent or has one of these values: others are not supported."""
        value = self.values.get(key)
        if value is not None and value not in allowed:
            shown = " or ".join(map(repr, allowed))
            raise FamilyError(f"{self.place} has {key}={value!r}; only {shown} is supported")

    def choice(self, key: str, table: Mapping[str, Any], default: str | None = None) -> Any:
        """What a table says of the value of a key.

        Raises FamilyError listing what there is.
        """
        value = self.get(key, default) if default is not None else self.get(key)
        if value not in table:
            raise FamilyError(f"{self.place} has {key}={value!r}; supported are {', '.join(map(str, table))}")
        return table[value]

    @property
    def architecture(self) -> str:
        """The model class that it names.

        Raises FamilyError unless it names one.
        """
        names = self.get("architectures", [])
        if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
            raise FamilyError(f"{self.place} has architectures={names!r}; it has to be a list of one name")
        return names[0]


@contextlib.contextmanager
def understanding(place: str) -> Iterator[None]:
    """Turns what goes wrong while a config is read, by values that no model has, into one sentence.

    Raises FamilyError naming the place.
    """
    try:
        yield
    except FamilyError:
        raise
    except KeyError as error:
        raise FamilyError(f"{place} lacks {error}") from error
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise FamilyError(f"{place} describes no model: {error}") from error
