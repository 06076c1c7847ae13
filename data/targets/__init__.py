"""What a model is asked to predict of a row of tokens."""

from data.targets.base import Field, MakeBatch, NextToken, Rows, Targets
from data.targets.denoisers import Denoiser, PrefixDenoiser, SpanDenoiser
from data.targets.fill_in_the_middle import FillInTheMiddle
from data.targets.layouts import DecoderOnly, EncoderDecoder, Layout
from data.targets.masked_lm import MaskedLM
from data.targets.pairs import Pairs
from data.targets.prefix_lm import PrefixLM
from data.targets.span_corruption import SpanCorruption
from data.targets.ul2 import UL2
from data.targets.units import SingleTokens, Unit, WholeWords

__all__ = [
    "UL2",
    "DecoderOnly",
    "Denoiser",
    "EncoderDecoder",
    "Field",
    "FillInTheMiddle",
    "Layout",
    "MakeBatch",
    "MaskedLM",
    "NextToken",
    "Pairs",
    "PrefixDenoiser",
    "PrefixLM",
    "Rows",
    "SingleTokens",
    "SpanCorruption",
    "SpanDenoiser",
    "Targets",
    "Unit",
    "WholeWords",
]
