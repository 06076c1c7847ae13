"""Groups of a corpus made to weigh what they should."""

from data.curation.weighting.grouping import (
    ByLanguage,
    ByLicence,
    ByMeta,
    BySource,
    CountCharacters,
    CountDocuments,
    Grouping,
    Measure,
)
from data.curation.weighting.reweight import Resample, Reweight
from data.curation.weighting.schemes import (
    Balance,
    EqualShares,
    Independence,
    ListedShares,
    Scheme,
    Share,
    Target,
    TemperedShares,
)

__all__ = [
    "Balance",
    "ByLanguage",
    "ByLicence",
    "ByMeta",
    "BySource",
    "CountCharacters",
    "CountDocuments",
    "Grouping",
    "Independence",
    "Measure",
    "Resample",
    "Reweight",
    "Scheme",
    "Share",
    "ListedShares",
    "Target",
    "TemperedShares",
    "EqualShares",
]
