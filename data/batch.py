"""What a batch is: named arrays of fixed shape.

| name | type | holds |
|---|---|---|
| `inputs` | int32 [batch, seq] | what a model reads: for a decoder, the token before each target |
| `targets` | int32 [batch, seq] | the tokens to predict |
| `weights` | float32 [batch, seq] | 1 for a target that counts, 0 for padding and what is given |
| `segment_ids` | int32 [batch, seq] | which document of its row, from 1; 0 for padding |
| `positions` | int32 [batch, seq] | the position within that document |
| `groups` | int32 [batch, seq] | which group a target's document is of, from 0; 0 for padding |
| `prefix` | int32 [batch, seq] | 1 for an input that all of its document may see, also those before it |
| `source` | int32 [batch, source] | what the encoder of an encoder-decoder reads |
| `source_segment_ids` | int32 [batch, source] | 1 for a token of the source, 0 for padding |

Which of them there are depends on what is to be predicted (`data.targets`). All have `inputs`,
`targets` and `weights`. `prefix` comes with `PrefixLM`, and with `SpanCorruption` and `UL2` for a
decoder alone; for an encoder-decoder these two give `source` and `source_segment_ids`, and the
others are the decoder's, as long as a target can be. Only with `MaskedLM` an input stands at its
own target's place: it is that token, or what hides it.

`groups` is there where a config asks for it (`data.grouping`), and in training alone.

`segment_ids` and `positions` are there when packing keeps documents apart. A separator is the last
target of one document and the first input of the next, whose first token it predicts: a segment
begins where the input is a separator.
"""

import numpy as np

Batch = dict[str, np.ndarray]
