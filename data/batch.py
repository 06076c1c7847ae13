"""What a batch is: named arrays of fixed shape.

For next-token prediction:

| name | type | holds |
|---|---|---|
| `inputs` | int32 [batch, seq] | the token before each target |
| `targets` | int32 [batch, seq] | the tokens to predict |
| `weights` | float32 [batch, seq] | 1 for a target that counts, 0 for padding |
| `segment_ids` | int32 [batch, seq] | which document of its row, from 1; 0 for padding |
| `positions` | int32 [batch, seq] | the position within that document |

The last two are there when packing keeps documents apart. A separator is the last target of one document
and the first input of the next, whose first token it predicts: a segment begins where the
input is a separator.
"""

import numpy as np

Batch = dict[str, np.ndarray]
