"""What a batch is: named arrays of fixed shape.

| name | type | holds |
|---|---|---|
| `inputs` | int32 [batch, seq] | what a model reads: for a decoder, the token before each target |
| `targets` | int32 [batch, seq] | the tokens to predict |
| `weights` | float32 [batch, seq] | 1 for a target that counts, 0 for padding and what is given |
| `segment_ids` | int32 [batch, seq] | which document of its row, from 1; 0 for padding |
| `positions` | int32 [batch, seq] | the position within that document |
| `prefix` | int32 [batch, seq] | 1 for an input that all of its document may see, also those before it |
| `source` | int32 [batch, source] | what the encoder of an encoder-decoder reads |
| `source_segment_ids` | int32 [batch, source] | 1 for a token of the source, 0 for padding |

Which of them there are depends on what is to be predicted (`data.targets`). All have `inputs`,
`targets` and `weights`. `prefix` comes with `PrefixLM`, and with `SpanCorruption` and `UL2` for a
decoder alone; for an encoder-decoder these two give `source` and `source_segment_ids`, and the
others are the decoder's, as long as a target can be. Only with `MaskedLM` an input stands at its
own target's place: it is that token, or what hides it.

`segment_ids` and `positions` are there when they were asked for. A separator is the last target of one document
and the first input of the next, whose first token it predicts: a segment begins where the
input is a separator.
"""

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt

from data.store import TokenStore

Batch = dict[str, np.ndarray]


def windows(
    store: TokenStore, starts: Int64[np.ndarray, " rows"], sequence: int
) -> UInt[np.ndarray, "rows {sequence}+1"]:
    """Each row's `sequence` targets, with the token before them.

    Before the first token of the stream stands a separator, or that token itself where there
    is none.
    """
    if starts.all():
        return store.gather(starts - 1, sequence + 1)
    rows = np.empty((starts.size, sequence + 1), store.index.dtype)
    origin = starts == 0
    rows[~origin] = store.gather(starts[~origin] - 1, sequence + 1)
    rows[origin, 1:] = store.gather(starts[origin], sequence)
    rows[origin, 0] = rows[origin, 1] if store.separator is None else store.separator
    return rows


def segments(
    starting: Bool[np.ndarray, "rows seq"],
) -> tuple[Int32[np.ndarray, "rows seq"], Int32[np.ndarray, "rows seq"]]:
    """The segment ids and positions of rows whose documents begin where `starting` is true."""
    starting = starting.copy()
    # A row begins a segment even in the middle of a document: it sees nothing before itself.
    starting[:, 0] = True
    segment_ids = np.cumsum(starting, axis=1, dtype=np.int32)
    place = np.arange(starting.shape[1], dtype=np.int32)
    begun = np.maximum.accumulate(np.where(starting, place, np.int32(0)), axis=1)
    return segment_ids, place - begun


def check_segments(store: TokenStore, wanted: bool) -> None:
    """Raises ValueError when segments are wanted of a store without a separator."""
    if wanted and store.separator is None:
        raise ValueError(
            f"segments is True, but {store.directory} has no separator to tell its documents"
            " apart; set segments to False or use a tokenizer with a separator"
        )
