"""Numbers that states give to people, by their pattern and, where there is one, their check digit."""

import abc
import re
from collections import Counter
from dataclasses import dataclass

from data.curation.privacy.checksums import cpf, mod_11_10, verhoeff
from data.curation.privacy.kinds import PersonalKind, Span, numbered

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


class NationalId(PersonalKind):
    """A number that a state gives to a person: how it is written, and whether it can have been given.

    Attributes:
      pattern: how it is written.
      before: how many characters can stand before its first digit.
    """

    token = "<id>"
    pattern: re.Pattern[str]
    before: tuple[int, ...] = (0,)

    @abc.abstractmethod
    def is_issued(self, plain: str) -> bool:
        """Whether such a number, without spaces, hyphens and dots, can have been given to someone."""

    def find(self, text: str) -> list[Span]:
        found = numbered(self.pattern, text, self.before)
        return [match.span() for match in found if self.is_issued(re.sub("[ .-]", "", match.group()))]


@dataclass(frozen=True)
class UsSocialSecurity(NationalId):
    """US social security numbers, 3-2-4 with hyphens; the groups that are never given (SSA, POMS RM 10201.035: area
    000, 666 and 900 to 999, group 00, serial 0000) are not taken for one. There is no check digit.
    """

    name = "US social security number"
    pattern = re.compile(r"(?<![\w.-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])")

    def is_issued(self, plain: str) -> bool:
        return plain[:3] not in ("000", "666") and plain[0] != "9" and plain[3:5] != "00" and plain[5:] != "0000"


@dataclass(frozen=True)
class UkNationalInsurance(NationalId):
    """UK national insurance numbers: two letters, six digits, A to D, in one piece or by twos; the prefixes that are
    not used (HMRC, NIM39110) are not taken for one. There is no check digit.
    """

    name = "UK national insurance number"
    before = (3, 2)
    pattern = re.compile(
        r"(?<![\w-])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]( ?)[0-9]{2}\1[0-9]{2}\1[0-9]{2}\1[A-D](?![\w-])"
    )

    def is_issued(self, plain: str) -> bool:
        return plain[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


@dataclass(frozen=True)
class GermanTaxId(NationalId):
    """German tax identification numbers, eleven digits in one piece or 2-3-3-3 with spaces.

    Of the first ten digits exactly one occurs two or three times, and the last is the check digit of ISO/IEC 7064
    MOD 11,10 (Bundeszentralamt für Steuern). One in about ten numbers of such digits passes.
    """

    name = "German tax id"
    pattern = re.compile(r"(?<![\w.,+-])[1-9][0-9]( ?)[0-9]{3}\1[0-9]{3}\1[0-9]{3}(?![\w-]|[.,][0-9])")

    def is_issued(self, plain: str) -> bool:
        repeated = [count for count in Counter(plain[:10]).values() if count > 1]
        return len(repeated) == 1 and repeated[0] in (2, 3) and mod_11_10(plain)


@dataclass(frozen=True)
class FrenchSocialSecurity(NationalId):
    """French registration numbers (NIR): sex, year, month, department, commune, order, and a key of two digits, in
    one piece or with spaces. The key is 97 less the number modulo 97, Corsica's 2A and 2B read as 19 and 18 (INSEE).
    """

    name = "French social security number"
    pattern = re.compile(
        r"(?<![\w.,+-])[1-478] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[AB])"
        r" ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}(?![\w-]|[.,][0-9])"
    )

    def is_issued(self, plain: str) -> bool:
        number = int(plain[:13].replace("2A", "19").replace("2B", "18"))
        return 97 - number % 97 == int(plain[13:])


@dataclass(frozen=True)
class SpanishIdentity(NationalId):
    """Spanish identity numbers of citizens (DNI: eight digits, a letter) and residents (NIE: X, Y or Z, seven digits,
    a letter); the letter is that of the number modulo 23, X, Y, Z read as 0, 1, 2 (Ministerio del Interior).
    """

    name = "Spanish identity number"
    before = (2, 1, 0)
    pattern = re.compile(rf"(?<![\w.,-])[0-9XYZ]-?[0-9]{{7}}-?[{_DNI_LETTERS}](?![\w-])")

    def is_issued(self, plain: str) -> bool:
        number = plain[:-1].translate(str.maketrans("XYZ", "012"))
        return _DNI_LETTERS[int(number) % 23] == plain[-1]


@dataclass(frozen=True)
class IndianAadhaar(NationalId):
    """Indian Aadhaar numbers: twelve digits in groups of four, not starting with 0 or 1, the last Verhoeff's check
    digit (UIDAI). In one piece they are not taken for one: one in ten numbers would pass.
    """

    name = "Indian Aadhaar number"
    pattern = re.compile(r"(?<![\w.,+-])(?<![0-9] )[2-9][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}(?![\w-]| ?[0-9])")

    def is_issued(self, plain: str) -> bool:
        return verhoeff(plain)


@dataclass(frozen=True)
class BrazilianCpf(NationalId):
    """Brazilian CPF numbers as they are written, 123.456.789-09, with both check digits (Receita Federal)."""

    name = "Brazilian CPF number"
    pattern = re.compile(r"(?<![\w.,-])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![\w-])")

    def is_issued(self, plain: str) -> bool:
        return len(set(plain)) > 1 and cpf(plain)
