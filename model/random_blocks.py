"""BigBird's random blocks, drawn by an integer hash so that every device and every framework draws the same."""

import dataclasses

import numpy as np

from model.mask_algebra import Mask, at_least
from model.mask_blocks import AnyArray, Bounds, Places, Stretch


@dataclasses.dataclass(frozen=True)
class RandomBlocks(Mask):
    """Keys of `count` random blocks for every block of queries (BigBird; Zaheer 2020, section 2).

    A function of (seed, block of the query) alone. The blocks are drawn without replacement, each set equally
    likely: from the `blocks` of the row, or, where that is 0, from those up to the query's own. The latter is the
    meaning for a causal model: a query in block b has min(count, b + 1) random blocks, none of them in its future.

    Attributes:
      block: tokens in a block, of queries and of keys.
      count: random blocks of keys.
      seed: another pattern for each.
      blocks: blocks in the row, to draw from; 0: those up to the query's own.
    """

    block: int
    count: int
    seed: int = 0
    blocks: int = 0

    def __post_init__(self) -> None:
        at_least(1, self, "block", "a block holds at least 1 key")
        at_least(0, self, "count", "there are 0 or more random blocks")
        at_least(0, self, "blocks", "it is the number of blocks in the row, or 0")

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the key's block is one of those drawn: Floyd's algorithm, one step a block."""
        own, other = query.index // self.block, key.index // self.block
        population = own * 0 + self.blocks if self.blocks else own + 1
        drawn: list[AnyArray] = []
        for step in range(self.count):
            # Of what a step may draw, the newest is what it takes when its number is taken.
            newest = population - self.count + step
            at_random = _mixed(own, self.seed * 0x9E3779B1 + step) % np.uint32(2**31 - 1)
            # A population below `count` is drawn whole: the steps that are too many draw what is not there.
            pick = at_random.astype(own.dtype) % (newest + 1 + (newest < 0) * (-newest))
            taken = own != own
            for earlier in drawn:
                taken = taken | (earlier == pick)
            pick = pick * ~taken + newest * taken
            drawn.append(pick * (newest >= 0) - (newest < 0))
        hit = (own != own) & (other != other)
        for pick in drawn:
            hit = hit | (pick == other)
        return hit

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """Exact within a block of queries and a block of keys."""
        one = (query.first // self.block == query.last // self.block) & (
            key.first // self.block == key.last // self.block
        )
        allowed = self.allowed(Places(query.first), Places(key.first))
        return Bounds(allowed | ~one, allowed & one)


def _mixed(number: AnyArray, salt: int) -> AnyArray:
    """32 bits that look random, of NumPy and JAX integers alike (the finaliser of MurmurHash3; Appleby 2011)."""
    with np.errstate(over="ignore"):
        x = number.astype(np.uint32) ^ np.uint32(salt * 0x85EBCA6B % 2**32)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        return x ^ (x >> np.uint32(16))
