"""Numbers of payment cards."""

import re
from dataclasses import dataclass

from data.curation.privacy.checksums import luhn
from data.curation.privacy.kinds import PersonalKind, Span, numbered

_SHAPED = re.compile(
    r"(?<![\w.,-])[2-6](?:[0-9]{12,18}"
    r"|[0-9]{3}(?P<s>[ -])[0-9]{4}(?:(?P=s)[0-9]{4}){2}(?:(?P=s)[0-9]{3}(?![0-9]))?"
    r"|[0-9]{3}(?P<t>[ -])[0-9]{6}(?P=t)[0-9]{4,5})(?![\w-]|[.,][0-9])"
)
# The first digits that issuers of each network have (ISO/IEC 7812-2), and the lengths of its numbers, as in
# https://en.wikipedia.org/wiki/Payment_card_number of 2024.
_ISSUERS = (
    (re.compile("4"), (13, 16, 19)),  # Visa
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("6011|64[4-9]|65"), (16, 17, 18, 19)),  # Discover
    (re.compile("30[0-5]|3[689]"), (14, 15, 16, 17, 18, 19)),  # Diners Club
    (re.compile("352[89]|35[3-8]"), (16, 17, 18, 19)),  # JCB
    (re.compile("62"), (16, 17, 18, 19)),  # UnionPay
    (re.compile("5[0678]|6[0-9]"), (13, 14, 15, 16, 17, 18, 19)),  # Maestro
)


@dataclass(frozen=True)
class CardNumber(PersonalKind):
    """Numbers of payment cards: the first digits of a network, the length of its numbers, and Luhn's check digit.

    In one piece, or in groups of 4 (and 3 more), 4-6-5 or 4-6-4 with spaces or hyphens. Of other numbers of 16
    digits that start like a card's, one in ten passes.
    """

    name = "card number"
    token = "<card>"

    def find(self, text: str) -> list[Span]:
        return [span for match in numbered(_SHAPED, text) if (span := _card(match))]


def _card(match: re.Match[str]) -> Span | None:
    value = match.group()
    # Three digits that follow a number of sixteen can be its code of verification.
    shorter = value[:19] if len(value) == 23 else None
    for candidate in filter(None, (value, shorter)):
        digits = re.sub("[ -]", "", candidate)
        if any(first.match(digits) and len(digits) in lengths for first, lengths in _ISSUERS) and luhn(digits):
            return match.start(), match.end()
    return None
