"""E-mail addresses, IP addresses and telephone numbers."""

import ipaddress
import re
import string
from dataclasses import dataclass

from data.curation.privacy.kinds import PersonalKind, Span, numbered

# The searches start at a rare character and look back from there: a pattern that starts with what every word
# has would be tried at each letter, and again from each letter of a long run.
_LOCAL = string.ascii_letters + string.digits + "._%+-"
_LOCAL_LENGTH = 64
_DOMAIN = re.compile(r"@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])")


@dataclass(frozen=True)
class Email(PersonalKind):
    """E-mail addresses: a local part of at most 64 characters (RFC 5321, 4.5.3.1.1) of letters, digits and `._%+-`,
    and a domain with a dot. Addresses written out ("me at example dot com") are not found.
    """

    name = "e-mail address"
    token = "<email>"

    def find(self, text: str) -> list[Span]:
        spans: list[Span] = []
        end = 0
        place = text.find("@")
        while place >= 0:
            if domain := _DOMAIN.match(text, place):
                before = text[max(end, place - _LOCAL_LENGTH) : place]
                local = before[len(before.rstrip(_LOCAL)) :].lstrip(".%+-")
                if local:
                    end = domain.end()
                    spans.append((place - len(local), end))
            place = text.find("@", max(end, place + 1))
        return spans

    def mask(self, value: str) -> str:
        local, _, domain = value.rpartition("@")
        return f"{local[:1]}***@{domain[:1]}***.{domain.rpartition('.')[2]}"


_IPV4_TAIL = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![\w-]|\.[0-9])")
_PART_OF_MORE = re.compile(r"[\w.-]\Z")
_IPV6_PART = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6_BEFORE = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}\Z")
_IPV6_AFTER = re.compile(r"[0-9A-Fa-f:]{0,40}(?![\w:]|\.[0-9])")


@dataclass(frozen=True)
class IpAddress(PersonalKind):
    """Public IPv4 and IPv6 addresses; private, reserved, local and multicast ones (`ipaddress`) name nobody.

    IPv6 in global unicast space (2000::/3) only, without an embedded IPv4 address. Numbers in five or more parts
    ("1.3.6.1.4.1") are no addresses; a version in four ("3.11.4.1") is taken for one, unless a letter stands
    before it.
    """

    name = "IP address"
    token = "<ip>"

    def find(self, text: str) -> list[Span]:
        spans = [*self._version_4(text), *self._version_6(text)]
        return sorted(spans)

    def _version_4(self, text: str) -> list[Span]:
        spans = []
        for tail in _IPV4_TAIL.finditer(text):
            before = text[max(0, tail.start() - 4) : tail.start()]
            stripped = before.rstrip(string.digits)
            start = tail.start() - len(before) + len(stripped)
            if not _PART_OF_MORE.search(stripped) and _is_public(text[start : tail.end()]):
                spans.append((start, tail.end()))
        return spans

    def _version_6(self, text: str) -> list[Span]:
        spans: list[Span] = []
        end = 0
        while part := _IPV6_PART.search(text, end):
            end = part.start() + 1
            first = max(0, part.start() - 5)
            before = _IPV6_BEFORE.search(text[first : part.start()])
            after = _IPV6_AFTER.match(text, part.start())
            if before and after and _is_public(text[first + before.start() : after.end()]):
                spans.append((first + before.start(), after.end()))
            end = max(end, after.end() if after else 0)
        return spans


def _is_public(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    usual = address.version == 4 or int(address) >> 125 == 1
    return usual and address.is_global and not address.is_multicast


# Country codes in use (ITU-T E.164, list of 2016), as prefixes of the number.
_COUNTRY = re.compile(
    "1|7|2(?:0|7|[1-6][0-9]|9[0178])|3(?:[0123469]|[578][0-9])|4(?:[013-9]|2[0139])|5(?:[1-8]|0[0-9]|9[0-9])"
    "|6(?:[0-6]|[789][0-9])|8(?:[1246]|0[08]|5[0-9]|7[0-9]|8[0-9])|9(?:[0-58]|6[0-9]|7[0-9]|9[2-68])"
)
_INTERNATIONAL = re.compile(
    r"\+(?<![\w+.].)[1-9][0-9]{0,14}+(?:[ .-]?\([0-9]{1,4}\)[ .-]?[0-9]{1,12}+|[ .-][0-9]{1,12}+){0,5}(?![\w+])"
)
_LAST_GROUP = re.compile(r"[ .-][^ .-]*\Z")
# Digits of a number with its country code (E.164, 6.2.1), and of a North American one.
_FEWEST, _MOST, _NANP = 8, 15, 11
_NATIONAL = re.compile(
    r"(?<![\w.+/-])"
    # North America (NANP): an area code and an exchange do not start with 0 or 1.
    r"(?:(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}(?P<n>[.-]))[2-9][0-9]{2}(?(n)(?P=n)|[ .-])[0-9]{4}"
    # France: ten digits in pairs.
    r"|0[1-9](?P<f>[ .-])[0-9]{2}(?:(?P=f)[0-9]{2}){3}"
    # United Kingdom: 020 7946 0958, 0113 496 0000, 01632 960001, 07700 900 123.
    r"|\(?02[0-9]\)? [0-9]{4} [0-9]{4}|\(?01[0-9]{2}\)? [0-9]{3} [0-9]{4}|\(?0[17][0-9]{3}\)? [0-9]{3} ?[0-9]{3}"
    # Germany: an area code, a stroke or a hyphen, a number.
    r"|0[2-9][0-9]{1,3}[/-][0-9]{5,8})(?![\w-]|[./+][0-9])"
)


@dataclass(frozen=True)
class Phone(PersonalKind):
    """Telephone numbers, precision before recall.

    Found are: international numbers with a plus and a country code in use (E.164: 8 to 15 digits), grouped by
    spaces, dots, hyphens or brackets; North American numbers in three groups; French in pairs; British with the
    usual groups; German with a stroke or hyphen. Digits that nothing groups are not taken for a number.
    """

    name = "phone number"
    token = "<phone>"

    def find(self, text: str) -> list[Span]:
        spans = [span for match in _INTERNATIONAL.finditer(text) if (span := _international(match))]
        taken = list(spans)
        for match in numbered(_NATIONAL, text, (1, 0)):
            if not any(first < match.end() and match.start() < last for first, last in taken):
                spans.append(match.span())
        return sorted(spans)


def _international(match: re.Match[str]) -> Span | None:
    value = match.group()
    # Groups of digits that follow the number can belong to something else.
    most = _NANP if value.startswith("+1") else _MOST
    while len(digits := re.sub("[^0-9]", "", value)) > most and (shorter := _LAST_GROUP.sub("", value)) != value:
        value = shorter
    if not _FEWEST <= len(digits) <= most or not _COUNTRY.match(digits):
        return None
    return match.start(), match.start() + len(value)
