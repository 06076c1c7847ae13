"""From a record of named values to a document: which of them is the text, and what becomes of the others."""

import datetime
import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.document import Document
from data.sources.base import BadRecord, Record
from data.sources.streams import TooLong

_SHOWN = 200


@dataclass(frozen=True)
class Columns:
    """What the names in a record stand for; what is not named becomes the document's `meta`.

    Attributes:
      text: the name of the text.
      id, licence, language: the names of those, if they have any. A record without a value for its licence or
        language has that of all; one without an id, when ids are named, cannot be read.
      source: the `source` of all documents.
      every_licence, every_language: what is known of all of them.
    """

    text: str
    id: str | None
    licence: str | None
    language: str | None
    source: str
    every_licence: str
    every_language: str

    @classmethod
    def of(cls, spec: Any, source: str) -> "Columns":
        """The columns that a source of records names in its fields."""
        return cls(
            text=spec.text_field,
            id=spec.id_field,
            licence=spec.licence_field,
            language=spec.language_field,
            source=source,
            every_licence=spec.licence,
            every_language=spec.language,
        )

    @property
    def named(self) -> tuple[str, ...]:
        """The names, that of the text first."""
        return tuple(name for name in (self.text, self.id, self.licence, self.language) if name is not None)

    def document(self, record: Mapping[str, Any], default_id: str, place: str) -> Record:
        """The document of a record, or what is wrong with it.

        Args:
          record: values by name.
          default_id: its id when no name was given for that.
          place: the file, and the line or row in it.
        """
        text = record.get(self.text)
        if isinstance(text, bytes):
            try:
                text = text.decode("utf-8")
            except UnicodeDecodeError as error:
                return not_utf8(text, error, place)
        if text is None:
            others = ", ".join(name for name in record if name != self.text) or "none"
            found = "null" if self.text in record else "nothing"
            message = f"{place} has {found} as its {self.text!r}, but it must be a string; its other names are {others}"
            return BadRecord(place, "no text", message)
        if not isinstance(text, str):
            message = f"{place} has {_short(text)} as its {self.text!r}, but it must be a string"
            return BadRecord(place, "text is no string", message, _short(text))
        own_id = default_id
        if self.id is not None:
            value = record.get(self.id)
            if value is None or isinstance(value, dict | list):
                others = ", ".join(name for name in record if name != self.text) or "none"
                message = f"{place} has no {self.id!r} for an id; the names beside the text are {others}"
                return BadRecord(place, "no id", message, text[:_SHOWN])
            own_id = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        known = []
        for what, name, every in (
            ("licence", self.licence, self.every_licence),
            ("language", self.language, self.every_language),
        ):
            value = None if name is None else record.get(name)
            if value is not None and not isinstance(value, str):
                message = f"{place} has {_short(value)} as its {name!r}, but a {what} must be a string or null"
                return BadRecord(place, f"{what} is no string", message, text[:_SHOWN])
            known.append(value.strip() if value and value.strip() else every)
        meta = plain(record)
        for name in self.named:
            meta.pop(name, None)
        return Document(text, own_id, self.source, *known, meta)


# Stands for a value that JSON has no form of.
_NONE_SUCH = object()
_PLAIN = frozenset([str, bool, int, float, type(None)])


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as JSON has them: dates in ISO 8601, decimals as text, bytes as text where they are UTF-8.

    What has no form in JSON, such as an image beside a text, is left out.
    """
    items = ((str(name), _plain(value)) for name, value in record.items())
    return {name: value for name, value in items if value is not _NONE_SUCH}


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if getattr(value, "ndim", None) == 0:
        # A scalar of NumPy's, some of which are also of Python's types.
        return _plain(value.item())
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return _NONE_SUCH
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [item for item in map(_plain, value) if item is not _NONE_SUCH]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return _NONE_SUCH


def not_utf8(raw: bytes, error: UnicodeDecodeError, place: str) -> BadRecord:
    """The record of bytes that are no text."""
    message = (
        f"{place} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; convert it to UTF-8 or leave it out"
    )
    return BadRecord(place, "not UTF-8", message, raw[:_SHOWN].decode("utf-8", "replace"))


def too_long(found: TooLong, longest: int, place: str) -> BadRecord:
    """The record of what was passed over for its length."""
    message = f"{place} has {found.size:,} bytes or more, but at most {longest:,} are read; set longest to read it"
    return BadRecord(place, "too long", message, found.start.decode("utf-8", "replace"))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
