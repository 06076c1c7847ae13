"""A web corpus in English, after FineWeb (Penedo et al., 2024, arXiv:2406.17557): from web archives to clean text.

The order and the constants are FineWeb's; language is told by another identifier, text is taken from pages by another
extractor. Personal data is redacted first, so that no excerpt in the account shows any.
"""

from data.curation import (
    BiasAudit,
    C4Rules,
    Clean,
    FineWebQuality,
    FixText,
    GopherQuality,
    GopherRepetition,
    HtmlToText,
    IdentifyLanguage,
    Language,
    NearDuplicates,
    PersonalData,
    Skip,
)
from data.curation.curation import Curation, Statement
from data.sources import Warc


def curation() -> Curation:
    """Archives in `crawl/`; give another path with --set source.path=DIR."""
    return Curation(
        source=Warc("crawl"),
        transforms=(
            HtmlToText(),
            FixText(),
            Clean(),
            PersonalData(),
            IdentifyLanguage(keep=(Language("en"),)),
            GopherRepetition(),
            GopherQuality(),
            C4Rules(end_marks=()),
            FineWebQuality(),
            NearDuplicates(),
            BiasAudit(),
        ),
        bad_input=Skip(0.05),
        statement=Statement(
            intended_use="Pre-training of language models for research.",
            gaps="English only; pages that are lists, tables or code are mostly dropped; licences are unknown.",
        ),
    )
