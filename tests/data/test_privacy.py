"""Personal data is found where it is, and no value of it is left, in the text or in the account."""

import ipaddress
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation.chain import Chain
from data.curation.privacy import (
    BrazilianCpf,
    CardNumber,
    DropPersonal,
    Email,
    FrenchSocialSecurity,
    GermanTaxId,
    IndianAadhaar,
    IpAddress,
    PersonalData,
    PersonalKind,
    Phone,
    Secret,
    SpanishIdentity,
    UkNationalInsurance,
    UsSocialSecurity,
)
from data.curation.privacy.checksums import luhn, mod_11_10, verhoeff
from data.document import Document
from data.spec import build, describe

NATIONAL = (
    UsSocialSecurity(), UkNationalInsurance(), GermanTaxId(), FrenchSocialSecurity(), SpanishIdentity(),
    IndianAadhaar(), BrazilianCpf(),
)  # fmt: skip
EVERY = PersonalData((*PersonalData().kinds, *NATIONAL))


def found(kind: PersonalKind, text: str) -> list[str]:
    return [text[start:end] for start, end in kind.find(text)]


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        (Email(), "Write to ann.b+x@mail.example.co.uk. Or <c@d.org>!", ["ann.b+x@mail.example.co.uk", "c@d.org"]),
        (Email(), "a @b.com, @handle, me@localhost, x@y.z, 5 @ 3.50", []),
        (Email(), "see ..dot@a.com@b.com", ["dot@a.com"]),
        (IpAddress(), "from 8.8.8.8:53 to 1.1.1.1.", ["8.8.8.8", "1.1.1.1"]),
        (IpAddress(), "10.0.0.1 192.168.0.1 127.0.0.1 224.0.0.1 0.1.2.3 300.1.1.1 v1.2.3.4 1.3.6.1.4.1 1.2.3", []),
        (IpAddress(), "at 2001:4860:4860::8888, [2606:4700:0:0:0:0:0:1111]",
         ["2001:4860:4860::8888", "2606:4700:0:0:0:0:0:1111"]),
        (IpAddress(), "std::vector abc::def ::1 fe80::1 2001:db8::1 12:30:45 a:b:c", []),
        # Numbers that Ofcom, ARCEP and NANPA set aside for fiction, or the pattern of national guides.
        (Phone(), "+44 20 7946 0958; +44 (0)20 7946 0958; +33 1 99 00 12 34; +1 (212) 555-0123",
         ["+44 20 7946 0958", "+44 (0)20 7946 0958", "+33 1 99 00 12 34", "+1 (212) 555-0123"]),
        (Phone(), "(212) 555-0123 or 212-555-0123, 1-212-555-0123",
         ["(212) 555-0123", "212-555-0123", "1-212-555-0123"]),
        (Phone(), "01 99 00 12 34, 020 7946 0958, 0113 496 0000, 07700 900123, 030/1234567",
         ["01 99 00 12 34", "020 7946 0958", "0113 496 0000", "07700 900123", "030/1234567"]),
        (Phone(), "+1 212 555 0123 2024", ["+1 212 555 0123"]),
        (Phone(), "2024-01-15, 123-456-7890, 2125550123, +5, +999 123 4567, 1999-2000-2001, 3+12345678901", []),
        # The numbers that PayPal and Stripe publish for tests.
        (CardNumber(), "4111111111111111, 5555-5555-5555-4444, 3782 822463 10005, 6011111111111117, 3530111333300000",
         ["4111111111111111", "5555-5555-5555-4444", "3782 822463 10005", "6011111111111117", "3530111333300000"]),
        (CardNumber(), "30569309025904 4242 4242 4242 4242 123", ["30569309025904", "4242 4242 4242 4242 123"]),
        (CardNumber(), "4111111111111112 1111111111111117 0.4111111111111111 4111 1111 11111111", []),
        (Secret(), "id AKIAIOSFODNN7EXAMPLE!", ["AKIAIOSFODNN7EXAMPLE"]),
        (Secret(), "ghp_" + "a1B2" * 9, ["ghp_" + "a1B2" * 9]),
        (Secret(), "aws_secret_access_key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'",
         ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]),
        (Secret(), '{"api_key": "9f86d081884c7d659a2feaa0c55ad015"}', ["9f86d081884c7d659a2feaa0c55ad015"]),
        (Secret(), "key = a_function_of_mine_again; hash: 9f86d081884c7d659a2feaa0c55ad015; token: " + "ab1" * 8, []),
        # The example of RFC 7519, section 3.1, shortened.
        (Secret(), "Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
         ["eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r"]),
        (Secret(), "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb",
         ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"]),
        (Secret(), "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----", []),
        (UsSocialSecurity(), "078-05-1120 000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
         ["078-05-1120"]),
        (UkNationalInsurance(), "AB123456C, AB 12 34 56 C; GB123456C QQ123456C AB123456E",
         ["AB123456C", "AB 12 34 56 C"]),
        # Valid and invalid numbers of python-stdnum's documentation.
        (GermanTaxId(), "36 574 261 809; 36574261809; 36574261890; 36554266806", ["36 574 261 809", "36574261809"]),
        # The example of the French Wikipedia, Numéro de sécurité sociale.
        (FrenchSocialSecurity(), "2 55 08 14 168 025 38; 255081416802538; 255081416802539",
         ["2 55 08 14 168 025 38", "255081416802538"]),
        (SpanishIdentity(), "12345678Z; X1234567L; 12345678A; 54362315-K", ["12345678Z", "X1234567L", "54362315-K"]),
        (IndianAadhaar(), "2341 2341 2346; 2341 2341 2347; 234123412346", ["2341 2341 2346"]),
        (BrazilianCpf(), "390.533.447-05; 231.002.999-00; 111.111.111-11", ["390.533.447-05"]),
    ],
)  # fmt: skip
def test_values_are_found_where_they_are(kind: PersonalKind, text: str, values: list[str]) -> None:
    assert found(kind, text) == values


def test_check_digits_are_the_published_ones() -> None:
    # Luhn: ISO/IEC 7812's 7992739871 takes 3. Verhoeff: 236 takes 3, 12345 takes 1, 142857 takes 0, as in the
    # literature on it. MOD 11,10: ISO/IEC 7064's 0794 takes 5.
    assert [d for d in range(10) if luhn(f"7992739871{d}")] == [3]
    assert [[d for d in range(10) if verhoeff(f"{n}{d}")] for n in ("236", "12345", "142857")] == [[3], [1], [0]]
    assert [d for d in range(10) if mod_11_10(f"0794{d}")] == [5]


@given(number=st.text("0123456789", min_size=2, max_size=16), place=st.integers(0, 15), other=st.integers(1, 9))
def test_check_digits_find_any_wrong_digit(number: str, place: int, other: int) -> None:
    place %= len(number)
    wrong = f"{number[:place]}{(int(number[place]) + other) % 10}{number[place + 1 :]}"
    for rule in (luhn, verhoeff, mod_11_10):
        assert not (rule(number) and rule(wrong))


@given(st.ip_addresses())
def test_an_address_is_found_if_it_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    public = address.is_global and not address.is_multicast and (address.version == 4 or address in UNICAST)
    # A dotted tail is how some write the last 32 bits; Python writes none.
    assert found(IpAddress(), f"at {address}, port 80") == ([str(address)] if public else [])


UNICAST = ipaddress.ip_network("2000::/3")
VALUES = (
    "ann@example.com", "8.8.4.4", "+44 20 7946 0958", "212-555-0123", "4111 1111 1111 1111", "AKIAIOSFODNN7EXAMPLE",
    "2001:4860:4860::8888", "078-05-1120", "12345678Z", "2341 2341 2346", "36574261809",
    "token=9f86d081884c7d659a2feaa0c55ad015",
)  # fmt: skip
NOISE = st.text("a1 .@:-+()=/\n<>", max_size=6)


@given(st.lists(st.tuples(NOISE, st.sampled_from(VALUES) | NOISE), max_size=6))
def test_redaction_is_complete_and_idempotent(parts: list[tuple[str, str]]) -> None:
    judge = EVERY.start()
    verdict = judge(Document("".join(a + b for a, b in parts), "d", "s"))
    assert verdict.document is not None
    assert not any(kind.find(verdict.document.text) for kind in EVERY.kinds)
    again = judge(verdict.document)
    assert again.document is verdict.document and not again.reasons


def test_redaction_puts_a_token_and_keeps_the_rest() -> None:
    text = "Ann, ann@example.com or +44 20 7946 0958, pays 4111 1111 1111 1111 from 8.8.8.8."
    verdict = EVERY.start()(Document(text, "d", "s"))
    assert verdict.document is not None
    assert verdict.document.text == "Ann, <email> or <phone>, pays <card> from <ip>."
    assert verdict.reasons == {"e-mail address": 1, "phone number": 1, "card number": 1, "IP address": 1}
    assert list(verdict.removed) == ["a***@e***.com", "+***", "4***", "8***"]


def test_what_a_value_hid_is_found_once_that_is_gone() -> None:
    # A plus after a letter begins no number; after a token it does.
    verdict = EVERY.start()(Document("AKIAIOSFODNN7EXAMPLE+44 20 7946 0958", "d", "s"))
    assert verdict.document is not None and verdict.document.text == "<secret><phone>"
    assert verdict.reasons == {"phone number": 1, "secret": 1}


@pytest.mark.parametrize("transform", [EVERY, PersonalData(EVERY.kinds, DropPersonal())])
def test_the_account_shows_no_value(transform: PersonalData) -> None:
    chain = Chain([transform])
    documents = [Document(f"Before {value} after.", f"d{i}", "s") for i, value in enumerate(VALUES)]
    left = chain.feed([*documents, Document("nothing here", "clean", "s")])
    report = chain.reports[0]
    assert report.changed + report.dropped == len(VALUES) and left[-1].id == "clean"
    told = json.dumps(report.to_json())
    assert report.to_json()["samples"]
    for value in VALUES:
        assert value not in told
    # Nor any four digits in a row, nor a word of an address.
    assert not re.search(r"[0-9]{4}|example|Before", told)


def test_a_recipe_can_be_stored() -> None:
    transform = PersonalData((Email(), Secret(3.0), UsSocialSecurity()), DropPersonal())
    assert build(json.loads(json.dumps(describe(transform))), PersonalData) == transform
    with pytest.raises(ValueError, match="Secret.entropy is -1.0"):
        Secret(-1.0)


@pytest.mark.parametrize(
    "unit",
    ["a", "@", "a@", "a.", "a@b.", "1", "1 ", "1-", "+1", "+1 ", ":", "a:", "1.", "=", "=a", "key=a", "(1)", "4111 ",
     "-----BEGIN PRIVATE KEY-----", "eyJ.", "eyJa", "sk-a"],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    judge = EVERY.start()
    started = time.process_time()
    judge(Document(unit * (50_000 // len(unit)), "d", "s"))
    # A search that went over the rest of the text from each place would take minutes.
    assert time.process_time() - started < 3
