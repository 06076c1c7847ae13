"""Span corruption: T5's objective."""

from dataclasses import dataclass

from data.targets.denoisers import Denoiser, SpanDenoiser, check_spans
from data.targets.denoising import Denoising
from data.targets.layouts import EncoderDecoder, Layout


@dataclass(frozen=True)
class SpanCorruption(Denoising):
    """Random spans taken out of a row, each marked by a sentinel (Raffel et al., 2020, arXiv:1910.10683).

    The share is that of their section 3.3.3, the span length that of 3.3.4; both are those of the released T5. A row
    takes as many tokens as fill the source: for T5's 512, 568 tokens and a target of 114, as `random_spans_helper`
    of t5.data has it. Sentinels are `<extra_id_0>`, `<extra_id_1>`... in the order of the spans.

    Attributes:
      density: the share of tokens that is taken out.
      mean_span: tokens of a span on average.
      layout: for an encoder and a decoder, or both in one row for a decoder alone.

    Raises:
      ValueError: when a span is shorter than a token, or the density is not between 0 and 1.
    """

    density: float = 0.15
    mean_span: float = 3.0
    layout: Layout = EncoderDecoder()

    def __post_init__(self) -> None:
        check_spans(type(self).__name__, self.mean_span, self.density)

    @property
    def mixture(self) -> tuple[Denoiser, ...]:
        return (SpanDenoiser(self.mean_span, self.density),)
