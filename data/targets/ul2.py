"""UL2's mixture of denoisers."""

from dataclasses import dataclass

from data.targets.denoisers import Denoiser, PrefixDenoiser, SpanDenoiser
from data.targets.denoising import Denoising
from data.targets.layouts import EncoderDecoder, Layout

# Tay et al., 2022, table 1: regular (R), sequential (S) and extreme (X) denoising.
_PUBLISHED: tuple[Denoiser, ...] = (
    SpanDenoiser(3.0, 0.15, "[R]"),
    SpanDenoiser(8.0, 0.15, "[R]"),
    PrefixDenoiser("[S]"),
    SpanDenoiser(3.0, 0.5, "[X]"),
    SpanDenoiser(8.0, 0.5, "[X]"),
    SpanDenoiser(64.0, 0.15, "[X]"),
    SpanDenoiser(64.0, 0.5, "[X]"),
)


@dataclass(frozen=True)
class UL2(Denoising):
    """One of several denoisers for each row, told by a mode token (Tay et al., 2022, arXiv:2205.05131).

    The mixture is uniform and the sequential denoiser's prefix of random length, without sentinels, as in the code of
    their appendix 9.2; their table 1 gives its average as a quarter of the row taken out. The released model names
    its modes [NLU] for R, [S2S] for S and [NLG] for X.

    A row takes as many tokens as fill it under the denoiser that can use most. Under another it leaves the last of
    them out, rather than have rows that are partly empty; so an epoch sees this share of its tokens:

        >>> statistics.mean(UL2(layout=DecoderOnly()).lengths(1024)) / UL2(layout=DecoderOnly()).raw_length(1024)
        0.927...
        >>> statistics.mean(UL2().lengths(512)) / UL2().raw_length(512)
        0.702...

    Attributes:
      denoisers: what is mixed, in equal parts; one that is named twice has twice the share.
      layout: for an encoder and a decoder, or both in one row for a decoder alone.

    Raises:
      ValueError: when there is no denoiser.
    """

    denoisers: tuple[Denoiser, ...] = _PUBLISHED
    layout: Layout = EncoderDecoder()

    def __post_init__(self) -> None:
        if not self.denoisers:
            raise ValueError("UL2.denoisers is empty, but a mixture needs one denoiser or more")

    @property
    def mixture(self) -> tuple[Denoiser, ...]:
        return self.denoisers
