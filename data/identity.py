"""What a spec is made of: which of its fields count, its hash, and how two differ."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Marks a field that says where something lies rather than what it is.
LOCATION: Mapping[str, Any] = {"location": True}


def is_location(field: dataclasses.Field[Any]) -> bool:
    """Whether a field of a spec is marked with LOCATION."""
    return bool(field.metadata.get("location"))


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
