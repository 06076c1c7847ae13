"""Groups of a corpus made to weigh what they should."""

from data.curation.weighting.grouping import (
    ByLanguage,
    ByLicence,
    ByMeta,
    BySource,
    Characters,
    Documents,
    Grouping,
    Measure,
)
from data.curation.weighting.reweight import Resample, Reweight
from data.curation.weighting.schemes import Balance, Independence, Scheme, Share, Shares, Target, Temperature, Uniform

__all__ = [
    "Balance",
    "ByLanguage",
    "ByLicence",
    "ByMeta",
    "BySource",
    "Characters",
    "Documents",
    "Grouping",
    "Independence",
    "Measure",
    "Resample",
    "Reweight",
    "Scheme",
    "Share",
    "Shares",
    "Target",
    "Temperature",
    "Uniform",
]
