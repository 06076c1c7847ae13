"""Personal data and secrets in texts."""

from data.curation.privacy.card_number import CardNumber
from data.curation.privacy.contact import Email, IpAddress, Phone
from data.curation.privacy.kinds import PersonalKind
from data.curation.privacy.national import (
    BrazilianCpf,
    FrenchSocialSecurity,
    GermanTaxId,
    IndianAadhaar,
    NationalId,
    SpanishIdentity,
    UkNationalInsurance,
    UsSocialSecurity,
)
from data.curation.privacy.personal import DropPersonal, PersonalAction, PersonalData, Redact
from data.curation.privacy.secret import Secret

__all__ = [
    "BrazilianCpf",
    "CardNumber",
    "DropPersonal",
    "Email",
    "FrenchSocialSecurity",
    "GermanTaxId",
    "IndianAadhaar",
    "IpAddress",
    "NationalId",
    "PersonalAction",
    "PersonalData",
    "PersonalKind",
    "Phone",
    "Redact",
    "Secret",
    "SpanishIdentity",
    "UkNationalInsurance",
    "UsSocialSecurity",
]
