"""Optimizers: specs that become optax transformations. All are imported here, since specs are found by name."""

from train.optimizers.adamw import AdamW
from train.optimizers.muon import Muon
from train.optimizers.optimizer import Optimizer, clipped, decayed, learning, masked_out

__all__ = ["AdamW", "Muon", "Optimizer", "clipped", "decayed", "learning", "masked_out"]
