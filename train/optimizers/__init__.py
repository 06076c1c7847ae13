"""Optimizers: specs that become optax transformations. All are imported here, since specs are found by name."""

from train.optimizers.adafactor import Adafactor
from train.optimizers.adamw import AdamW
from train.optimizers.averaged import Averaged
from train.optimizers.grouped import Grouped, Rule
from train.optimizers.lion import Lion
from train.optimizers.muon import Muon
from train.optimizers.optimizer import Optimizer, clipped, decayed, learning, masked_out
from train.optimizers.rounded import Rounded
from train.optimizers.schedule_free import ScheduleFreeAdamW
from train.optimizers.shampoo import Shampoo
from train.optimizers.soap import SOAP

__all__ = [
    "SOAP", "Adafactor", "AdamW", "Averaged", "Grouped", "Lion", "Muon", "Optimizer", "Rounded", "Rule",
    "ScheduleFreeAdamW", "Shampoo", "clipped", "decayed", "learning", "masked_out",
]
