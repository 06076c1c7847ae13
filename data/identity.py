"""What a spec is, as plain values: to store it, to hash it, and to say how two differ."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

# Marks a field that says where something lies rather than what it is.
LOCATION: Mapping[str, Any] = {"location": True}


def is_location(field: dataclasses.Field[Any]) -> bool:
    """Whether a field of a spec is marked with LOCATION."""
    return bool(field.metadata.get("location"))


def describe(spec: Any) -> Any:
    """A spec as JSON values: its type's name and its fields, locations left out.

    Raises:
      TypeError: when a field holds something that is neither a spec nor a plain value.
    """
    if dataclasses.is_dataclass(spec) and not isinstance(spec, type):
        fields = [f for f in dataclasses.fields(spec) if not is_location(f)]
        described = {field.name: describe(getattr(spec, field.name)) for field in fields}
        return {"type": type(spec).__name__} | described
    if isinstance(spec, tuple | list):
        return [describe(item) for item in spec]
    if spec is None or isinstance(spec, bool | int | float | str):
        return spec
    if isinstance(spec, os.PathLike):
        return os.fspath(spec)
    raise TypeError(f"a spec holds a {type(spec).__name__}, which is no plain value: {spec!r}")


def fingerprint(described: Any) -> str:
    """A hash of JSON values."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def differences(stored: Any, wanted: Any, name: str = "recipe") -> list[str]:
    """Where two descriptions differ, one phrase each: `field is X there, Y here`."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        if stored.get("type") == wanted.get("type"):
            keys = sorted(stored.keys() | wanted.keys())
            return [
                phrase
                for key in keys
                for phrase in differences(stored.get(key), wanted.get(key), f"{name}.{key}")
            ]
    elif isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        pairs = enumerate(zip(stored, wanted, strict=True))
        return [p for i, (a, b) in pairs for p in differences(a, b, f"{name}[{i}]")]
    return [] if stored == wanted else [f"{name} is {_short(stored)} there, {_short(wanted)} here"]


def _short(value: Any) -> str:
    if isinstance(value, dict) and "type" in value:
        fields = [f"{key}={_short(item)}" for key, item in value.items() if key != "type"]
        return f"{value['type']}({', '.join(fields)})"
    if isinstance(value, list):
        return f"({', '.join(_short(item) for item in value)})"
    return repr(value)
