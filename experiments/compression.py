"""What general compressors reach on the held-out text: bits per byte to measure a model against."""

import bz2
import dataclasses
import lzma
from collections.abc import Iterator, Mapping

from data.prepared import Prepared
from sharding.hosts import is_lead
from train.hooks import Hook, Moment

BZ2, XZ = "baseline/bz2_bits_per_byte", "baseline/xz_bits_per_byte"
# By the fingerprint of the store: the text does not change while a run goes on.
_known: dict[str, dict[str, float]] = {}


@dataclasses.dataclass(frozen=True)
class Compression(Hook):
    """Logs, with each evaluation, the bits per byte of `bzip2 -9` and `xz -9e` on the same text.

    They compress the held-out text on its own, without the training text: a model that learnt
    nothing from it is worse.
    """

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """The baselines; compressed once, by the process that logs."""
        return baselines(moment.prepared) if is_lead() else {}

    def at_end(self, moment: Moment) -> None:
        """Says in one line how the model compares."""
        figures = moment.metrics
        if all(key in figures for key in (BZ2, XZ, "eval/bits_per_byte")):
            moment.log(
                f"compression: the model needs {figures['eval/bits_per_byte']:.4f} bits a byte of held-out text, "
                f"bzip2 -9 {figures[BZ2]:.4f}, xz -9e {figures[XZ]:.4f}"
            )


def baselines(prepared: Prepared) -> dict[str, float]:
    """Bits per byte of the validation text under bzip2 and xz at their strongest."""
    key = prepared.validation.fingerprint()
    if key not in _known:
        compressors = {BZ2: bz2.BZ2Compressor(9), XZ: lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME)}
        sizes, total = dict.fromkeys(compressors, 0), 0
        for text in held_out(prepared):
            total += len(text)
            for name, compressor in compressors.items():
                sizes[name] += len(compressor.compress(text))
        for name, compressor in compressors.items():
            sizes[name] += len(compressor.flush())
        _known[key] = {name: 8 * size / max(total, 1) for name, size in sizes.items()}
    return _known[key]


def held_out(prepared: Prepared) -> Iterator[bytes]:
    """The validation documents in UTF-8; decoded one by one, since some tokenizers treat a beginning specially."""
    start = 0
    for end in prepared.validation.document_ends().tolist():
        yield prepared.tokenizer.decode(prepared.validation.tokens(start, end)).encode()
        start = end
