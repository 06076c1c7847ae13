"""Specs as data: any tree of frozen dataclasses to and from JSON, and overridden by key.

A spec is a constructor call, so its JSON is one too: `{"type": "Rope", "theta": 10000.0}`. Types are
looked up among the subclasses of what a field is annotated with; nothing is evaluated.
"""

import dataclasses
import difflib
import functools
import os
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from data.expression import parse
from data.identity import is_location

NOT_SHOWN = "not_shown"


class SpecError(ValueError):
    """A key, type or value that a spec does not have."""


def fields_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """Fields of a spec by name, less those that are not part of what it says."""
    return {f.name: f for f in dataclasses.fields(cls) if f.init and not f.metadata.get(NOT_SHOWN)}


def describe(value: Any, locations: bool = True) -> Any:
    """A spec as JSON-ready values; without `locations`, less what says where something lies.

    Raises SpecError for a value that is no spec, number, string, boolean, None, tuple or mapping of those.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = [key for key, field in fields_of(type(value)).items() if locations or not is_location(field)]
        return {"type": type(value).__name__, **{key: describe(getattr(value, key), locations) for key in shown}}
    if isinstance(value, tuple | list):
        return [describe(item, locations) for item in value]
    if isinstance(value, Mapping):
        return {str(key): describe(item, locations) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise SpecError(f"{value!r} of type {type(value).__name__} cannot be part of a spec")


def build(tree: Any, annotation: Any, where: str = "") -> Any:
    """The inverse of `describe`: a value of the annotated type from JSON-ready values.

    Raises SpecError, naming the place, for an unknown type or key or a value of another type; and
    whatever the constructors raise.
    """
    if isinstance(tree, Mapping) and "type" in tree:
        cls = spec_type(tree["type"], annotation, where)
        given = {key: item for key, item in tree.items() if key != "type"}
        given = cls.renewed(given) if hasattr(cls, "renewed") else given  # once written otherwise
        known = fields_of(cls)
        hints = typing.get_type_hints(cls)
        for key in given:
            if key not in known:
                raise SpecError(unknown_key(f"{where}.{key}".lstrip("."), key, cls))
        return cls(**{key: build(item, hints[key], f"{where}.{key}".lstrip(".")) for key, item in given.items()})
    return _plain(tree, annotation, where)


def flatten(tree: Any, where: str = "") -> dict[str, Any]:
    """The leaves of a described spec by dotted key, `model.attention.heads`."""
    if isinstance(tree, Mapping) and tree:
        parts = tree.items()
    elif isinstance(tree, list) and tree:
        parts = ((str(i), item) for i, item in enumerate(tree))
    else:
        return {where: tree}
    result: dict[str, Any] = {}
    for key, item in parts:
        result |= flatten(item, f"{where}.{key}".lstrip("."))
    return result


def override(spec: Any, changes: list[str]) -> Any:
    """The spec with changes `key=value` applied, all of them before any check across fields.

    Values are written as in Python: `8`, `0.1`, `none`, `true`, `Rope(theta=5e5)`,
    `Causal() & SlidingWindow(64)`, `(Clean(), MinLength(20))`; a string needs no quotes.

    Raises SpecError naming the key, and the nearest right one.
    """
    tree = describe(spec)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise SpecError(f"'{change}' is not a change; write key=value")
        _assign(tree, type(spec), key.strip(), functools.partial(_parsed, text.strip()))
    return build(tree, type(spec))


def replaced(spec: Any, changes: Mapping[str, Any]) -> Any:
    """The spec with the values at these dotted keys replaced, all of them before any check across fields.

    Raises SpecError naming the key, and the nearest right one, or the value that does not go there.
    """
    tree = describe(spec)
    for key, value in changes.items():
        _assign(tree, type(spec), key, lambda annotation, where, value=value: describe(value))
    return build(tree, type(spec))


def spec_type(name: str, annotation: Any, where: str) -> type:
    """The spec class of this name that a field annotated so accepts.

    Raises SpecError listing the names that would do.
    """
    candidates = {cls.__name__: cls for base in _classes(annotation) for cls in _family(base)}
    if name not in candidates:
        known = ", ".join(sorted(candidates)) or "no type"
        raise SpecError(f"{where or 'the config'}: there is no type '{name}' here; there is {known}")
    return candidates[name]


def unknown_key(where: str, key: str, cls: type) -> str:
    """A sentence on a key that a spec does not have, with the nearest that it has."""
    known = list(fields_of(cls))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'no keys'}"
    return f"unknown key '{where}': {cls.__name__} has no '{key}'; {hint}"


def _assign(tree: Any, cls: type, key: str, read: Callable[[Any, str], Any]) -> None:
    """Puts at a key what `read`, given the annotation and the name of the place, says."""
    path = key.split(".")
    annotation: Any = cls
    node = tree
    for depth, part in enumerate(path):
        where = ".".join(path[: depth + 1])
        last = depth == len(path) - 1
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise SpecError(f"unknown key '{where}': the tuple has {len(node)} items, counted from 0")
            annotation, index = _item(annotation), int(part)
        elif isinstance(node, dict) and "type" in node:
            owner = spec_type(node["type"], annotation, where)
            if part not in fields_of(owner):
                raise SpecError(unknown_key(where, part, owner))
            annotation, index = typing.get_type_hints(owner)[part], part
        else:
            raise SpecError(f"unknown key '{where}': '{'.'.join(path[:depth])}' is a plain value")
        if last:
            node[index] = read(annotation, where)
        else:
            node = node[index]


def _parsed(text: str, annotation: Any, where: str) -> Any:
    options = _options(annotation)
    if (str in options or _literals(annotation)) and not (type(None) in options and text.lower() == "none"):
        return text.strip("'\"")
    if not _classes(annotation) and tuple not in options and len(options) == 1:
        return _plain(text, annotation, where)

    def resolve(name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        # Inside an expression, what stands deeper may be of another family; `build` checks each place.
        candidates = _within(annotation)
        if name not in candidates:
            known = ", ".join(sorted(candidates)) or "no type"
            raise SpecError(f"{where}: there is no type '{name}' here; there is {known}")
        owner = candidates[name]
        names = list(fields_of(owner))
        if len(arguments) > len(names):
            raise SpecError(f"{where}: {name} takes {len(names)} values, {len(arguments)} are given")
        given = dict(zip(names, arguments, strict=False))
        if twice := given.keys() & keywords.keys():
            raise SpecError(f"{where}: {name} is given '{min(twice)}' twice")
        given |= keywords
        for key in given:
            if key not in names:
                raise SpecError(unknown_key(f"{where}: {name}", key, owner))
        hints = typing.get_type_hints(owner)
        return owner(**{key: build(_redescribed(item), hints[key], f"{where}.{key}") for key, item in given.items()})

    try:
        return _redescribed(parse(text, resolve))
    except SyntaxError as error:
        raise SpecError(f"{where}: cannot read '{text}': {error.msg}") from None


def _redescribed(value: Any) -> Any:
    return describe(value)


def _literals(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def _plain(value: Any, annotation: Any, where: str) -> Any:
    if literals := _literals(annotation):
        if value in literals:
            return value
        raise SpecError(f"{where}: {value!r} is none of {', '.join(map(str, literals))}")
    options = _options(annotation)
    for option in options:
        if option is type(None) and (value is None or value == "none"):
            return None
        if option is bool and (isinstance(value, bool) or str(value).lower() in ("true", "false")):
            return value if isinstance(value, bool) else value.lower() == "true"
        if option is tuple and isinstance(value, list | tuple):
            return tuple(build(item, _item(annotation), f"{where}.{i}") for i, item in enumerate(value))
        if option in (dict, Mapping) and isinstance(value, Mapping):
            return dict(value)
        if option is str and isinstance(value, str):
            return value
        if option in (int, float) and not isinstance(value, bool):
            number = _number(value, option)
            if number is not None:
                return number
    wanted = " or ".join(getattr(option, "__name__", str(option)).replace("NoneType", "none") for option in options)
    raise SpecError(f"{where}: {value!r} is no {wanted}")


def _number(value: Any, kind: type) -> int | float | None:
    try:
        whole = kind is int and not isinstance(value, float) and "e" not in str(value).lower()
        number = int(value) if whole else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if kind is int:
        # Neither 2.5 nor infinity is taken for a nearby integer.
        return int(number) if whole or number.is_integer() else None
    return number


def _options(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, with generic aliases reduced to their origin."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [option for part in typing.get_args(annotation) for option in _options(part)]
    return [typing.get_origin(annotation) or annotation]


def _classes(annotation: Any) -> list[type]:
    return [c for c in _options(annotation) if isinstance(c, type) and (dataclasses.is_dataclass(c) or _family(c))]


def _family(base: type) -> list[type]:
    """Concrete dataclasses at or below a class, if it is a class of specs."""
    if base in (int, float, str, bool, tuple, dict, type(None), object):
        return []
    below = [cls for child in base.__subclasses__() for cls in _family(child)]
    concrete = dataclasses.is_dataclass(base) and not getattr(base, "__abstractmethods__", None)
    return [base, *below] if concrete and not base.__name__.startswith("_") else below


def _within(annotation: Any, found: dict[str, type] | None = None) -> dict[str, type]:
    """Specs by name that can stand in a value of the annotated type, at any depth."""
    found = {} if found is None else found
    classes = [*_classes(annotation), *_classes(_item(annotation))]
    new = [cls for base in classes for cls in _family(base) if cls.__name__ not in found]
    found |= {cls.__name__: cls for cls in new}
    for cls in new:
        hints = typing.get_type_hints(cls)
        for name in fields_of(cls):
            _within(hints[name], found)
    return found


def _item(annotation: Any) -> Any:
    for option in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(option) is tuple:
            return typing.get_args(option)[0]
    return annotation
