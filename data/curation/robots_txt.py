"""The Robots Exclusion Protocol, RFC 9309.

`urllib.robotparser` takes the first rule that fits, where the RFC takes the longest, and does not know `*` and `$`:
it would allow what a site denies.
"""

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

# RFC 9309, 2.5: at least this much must be read.
_LONGEST = 500 * 1024
_PRODUCT = re.compile(r"[A-Za-z_-]+")
_ESCAPED = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")


@dataclass(frozen=True)
class Rule:
    """One line: whether a path that fits may be read.

    Attributes:
      path: with `*` for anything and a `$` for the end, its octets written as in the paths that it is held against.
      allowed: whether it allows.
    """

    path: str
    allowed: bool

    def fits(self, path: str) -> bool:
        """Whether the rule speaks of a path (RFC 9309, 2.2.3)."""
        anchored = self.path.endswith("$")
        first, *rest = self.path.removesuffix("$").split("*")
        if not path.startswith(first):
            return False
        place = len(first)
        # The earliest place for each part leaves the most for the parts after it.
        for part in rest[:-1] if anchored else rest:
            place = path.find(part, place)
            if place < 0:
                return False
            place += len(part)
        if not anchored:
            return True
        return place == len(path) if not rest else path.endswith(rest[-1]) and len(path) - len(rest[-1]) >= place


class Robots:
    """What a robots.txt says.

    Args:
      text: the file; lines that are not understood say nothing.
    """

    def __init__(self, text: str) -> None:
        self._groups: dict[str, list[Rule]] = {}
        agents: list[str] = []
        in_rules = False
        for line in text[:_LONGEST].removeprefix("\ufeff").splitlines():
            key, colon, value = line.partition("#")[0].partition(":")
            key, value = key.strip().lower(), value.strip()
            if not colon:
                continue
            if key == "user-agent":
                if in_rules:
                    agents, in_rules = [], False
                product = _PRODUCT.match(value)
                agents.append("*" if value.startswith("*") else product.group().lower() if product else "")
                self._groups.setdefault(agents[-1], [])
            elif key in ("allow", "disallow"):
                in_rules = True
                if value:
                    for agent in agents:
                        self._groups[agent].append(Rule(_normal(value), key == "allow"))

    def allows(self, agent: str, path: str) -> bool:
        """Whether an agent, by its product name, may read a path with its query."""
        group = self._groups.get(agent.lower(), self._groups.get("*", []))
        return _longest(group, _normal(path))


def _longest(rules: Iterable[Rule], path: str) -> bool:
    # RFC 9309, 2.2.2: the most octets win, and allow where both are as long; no rule allows.
    fitting = [(len(rule.path), rule.allowed) for rule in rules if rule.fits(path)]
    return max(fitting, default=(0, True))[1]


def _normal(path: str) -> str:
    """A path with one way to write each octet (RFC 9309, 2.2.2): escaped where it is not ASCII, and not where it
    is a letter, digit or other unreserved character of RFC 3986.
    """
    if path.isascii() and "%" not in path:
        return path
    ascii_only = quote(path, safe=string.punctuation + " ", errors="surrogateescape")
    return _ESCAPED.sub(_plainest, ascii_only)


def _plainest(escaped: re.Match[str]) -> str:
    character = chr(int(escaped.group()[1:], 16))
    return character if character in _UNRESERVED else escaped.group().upper()
