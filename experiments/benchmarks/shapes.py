"""The models that are timed: nanoGPT's architecture in three sizes, and GPT-2 of 124M weights at its whole context."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Shape:
    """A GPT-2 without biases or dropout, its embeddings tied, and the batch it is trained on.

    Attributes:
      name: what it is called in tables.
      layers: blocks.
      embed: width.
      heads: attention heads.
      context: tokens in a row.
      batch: rows in a step.
      vocab: token ids.
      steps: steps between two looks at the clock.
    """

    name: str
    layers: int
    embed: int
    heads: int
    context: int
    batch: int
    vocab: int
    steps: int

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.context * self.batch


SHAPES = (
    Shape("4x128", layers=4, embed=128, heads=4, context=64, batch=12, vocab=65, steps=20),
    Shape("6x384", layers=6, embed=384, heads=6, context=256, batch=8, vocab=65, steps=2),
    Shape("12x768", layers=12, embed=768, heads=12, context=512, batch=1, vocab=8192, steps=1),
    Shape("gpt2", layers=12, embed=768, heads=12, context=1024, batch=1, vocab=50_304, steps=1),
)
