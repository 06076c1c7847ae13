"""Check digits of numbers that are issued with one. Each function takes a string of ASCII digits."""

# The dihedral group D5 and the permutation of Verhoeff, Error detecting decimal codes (1969), tables as in
# https://en.wikipedia.org/wiki/Verhoeff_algorithm.
_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def luhn(digits: str) -> bool:
    """Whether the last digit is right by Luhn (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def verhoeff(digits: str) -> bool:
    """Whether the last digit is right by Verhoeff (1969)."""
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = int(_DIHEDRAL[state][int(_PERMUTED[place % 8][int(digit)])])
    return state == 0


def mod_11_10(digits: str) -> bool:
    """Whether the last digit is right by ISO/IEC 7064, MOD 11,10."""
    product = 10
    for digit in digits[:-1]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def cpf(digits: str) -> bool:
    """Whether the last two digits are right by the rule of the Brazilian CPF: weighted sums modulo 11."""
    for end in (9, 10):
        total = sum((end + 1 - place) * int(digit) for place, digit in enumerate(digits[:end]))
        if 10 * total % 11 % 10 != int(digits[end]):
            return False
    return True
