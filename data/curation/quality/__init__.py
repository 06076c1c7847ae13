"""Rules and models that tell good text from bad."""

from data.curation.quality.c4 import C4Rules
from data.curation.quality.fineweb import FineWebQuality
from data.curation.quality.gopher import GopherQuality
from data.curation.quality.repetition import GopherRepetition, NGramLimit

__all__ = ["C4Rules", "FineWebQuality", "GopherQuality", "GopherRepetition", "NGramLimit"]
