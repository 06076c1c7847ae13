"""Mixtures of corpora: by size, weight or temperature, over training, with parts that join later."""

from data.mixture.domain_weights import weighted_by
from data.mixture.replay import with_replay
from data.mixture.spec import Mixture, Part
from data.mixture.weights import BySize, Constant, Joining, Ramp, Stepwise, Weight

__all__ = [
    "BySize",
    "Constant",
    "Joining",
    "Mixture",
    "Part",
    "Ramp",
    "Stepwise",
    "Weight",
    "weighted_by",
    "with_replay",
]
