"""How two specs differ, key by key."""

from collections.abc import Mapping
from typing import Any

from data.spec import describe


def difference(old: Any, new: Any, locations: bool = True) -> list[str]:
    """Lines `key: old -> new` for two specs; `-` stands for a key that one side has not.

    What is a plain value or nothing on one side and a whole spec or tuple on the other is one line.
    """
    return _difference(describe(old, locations), describe(new, locations), "")


_MISSING = object()


def _difference(old: Any, new: Any, where: str) -> list[str]:
    before, after = _parts(old), _parts(new)
    if before and after:
        keys = [*before, *(key for key in after if key not in before)]
        return [
            line
            for key in keys
            for line in _difference(before.get(key, _MISSING), after.get(key, _MISSING), f"{where}.{key}".lstrip("."))
        ]
    same = type(old) is type(new) and old == new
    return [] if same else [f"{where}: {_shown(old)} -> {_shown(new)}"]


def _parts(tree: Any) -> dict[str, Any]:
    if isinstance(tree, list):
        return {str(i): item for i, item in enumerate(tree)}
    return dict(tree) if isinstance(tree, Mapping) else {}


def _shown(tree: Any) -> str:
    if tree is _MISSING:
        return "-"
    if isinstance(tree, Mapping) and "type" in tree:
        return f"{tree['type']}({', '.join(f'{key}={_shown(item)}' for key, item in tree.items() if key != 'type')})"
    if isinstance(tree, list):
        return f"({', '.join(map(_shown, tree))}{',' if len(tree) == 1 else ''})"
    return repr(tree)
