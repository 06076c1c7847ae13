"""Licences as they are written, read as SPDX expressions."""

import re
from collections.abc import Iterable
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

# Names that are no SPDX identifiers and leave no doubt, in lower case without "license" and punctuation.
_ALIASES = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache version 2.0": "Apache-2.0",
    "cc0": "CC0-1.0",
    "cc zero": "CC0-1.0",
    "expat": "MIT",
    "odc by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "public domain": "LicenseRef-scancode-public-domain",
    "unlicensed to public domain": "Unlicense",
}
# Words for not knowing. NOASSERTION is SPDX 2.3, 7.13; the others are values of Hugging Face's licence field.
_UNKNOWN = {"", "unknown", "noassertion", "other", "none given", "not specified", "n/a", "various"}
_CREATIVE_COMMONS = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licenses/(?P<terms>[a-z-]{2,8})|publicdomain/(?P<dedication>zero|mark))"
    r"/(?P<version>[0-9]\.[0-9])(?:/[a-z]{2,3})?(?:/(?:deed|legalcode)[a-z._]*)?/?\Z"
)


class Standing(IntEnum):
    """How a licence stands to a policy, in order: a choice of licences takes the best, a sum of them the worst."""

    DENIED = 0
    NOT_ALLOWED = 1
    UNKNOWN = 2
    ALLOWED = 3


def read_licence(written: str) -> str | None:
    """A licence as an SPDX expression with canonical identifiers, or None for what is not known or understood.

    Understood are SPDX expressions in any case, deprecated identifiers, addresses of Creative Commons, and a few
    names that leave no doubt. An expression with an identifier that SPDX does not list stays as it is.
    """
    plain = written.strip()
    if plain.lower() in _UNKNOWN:
        return None
    if address := _CREATIVE_COMMONS.match(plain.lower()):
        if address["dedication"] == "mark":
            return _ALIASES["public domain"]
        terms = "CC0" if address["dedication"] else f"CC-{address['terms'].upper()}"
        plain = f"{terms}-{address['version']}"
    words = re.sub("[-_,]+", " ", re.sub(r"\b(?:the|licen[cs]e)\b", "", plain.lower()))
    expression = _parsed(_ALIASES.get(" ".join(words.split()), plain))
    if expression is None and re.fullmatch(r"(?i)(?:the )?\S+ licen[cs]e", plain):
        expression = _parsed(re.sub("(?i)^the | licen[cs]e$", "", plain))
    return None if expression is None else str(expression.render())


def standing(expression: str | None, allow: Iterable[str], deny: Iterable[str]) -> Standing:
    """How an expression, as `read_licence` gives it, stands to patterns of allowed and denied identifiers.

    "A OR B" is as good as the better, "A AND B" as the worse. "A WITH exception" is what A is, unless a pattern
    names the two together.
    """
    if expression is None:
        return Standing.UNKNOWN
    return _standing(_parsed(expression), tuple(allow), tuple(deny))


def check_patterns(patterns: Iterable[str], where: str) -> None:
    """Raises ValueError when a pattern fits no licence that SPDX lists; it would never have an effect."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in _names()):
            lower = pattern.lower()
            near = next((name for name in sorted(_names()) if fnmatchcase(name.lower(), lower)), None)
            hint = f"did you mean '{near}'?" if near else "write an SPDX identifier, or a part of one with '*'"
            raise ValueError(f"{where} has '{pattern}', which fits no licence of SPDX; {hint}")


def _parsed(text: str) -> Any:
    from license_expression import ExpressionError, ParseError

    try:
        return _licensing().parse(text)
    except (ExpressionError, ParseError):
        return None


def _standing(node: Any, allow: tuple[str, ...], deny: tuple[str, ...]) -> Standing:
    licensing = _licensing()
    if isinstance(node, licensing.OR):
        return max(_standing(part, allow, deny) for part in node.args)
    if isinstance(node, licensing.AND):
        return min(_standing(part, allow, deny) for part in node.args)
    names = {str(node.render()), str(getattr(node, "license_symbol", node).render())}
    # What SPDX does not list may mean anything.
    if not names & _names():
        return Standing.UNKNOWN
    if _fits(names, deny):
        return Standing.DENIED
    return Standing.ALLOWED if _fits(names, allow) else Standing.NOT_ALLOWED


def _fits(names: Iterable[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@cache
def _names() -> frozenset[str]:
    return frozenset(_licensing().known_symbols)


