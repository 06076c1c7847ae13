"""How a corpus speaks of groups of people, and what can be done about it."""

from data.curation.bias.audit import BiasAudit, Window, WithinDocument, WithinSentence, WithinWords
from data.curation.bias.counterfactual import Augment, CounterfactualSwap, Substitute, SwapMode
from data.curation.bias.pairing import KeepNames, ListedNames, Names, PairedNames

__all__ = [
    "Augment",
    "BiasAudit",
    "CounterfactualSwap",
    "KeepNames",
    "ListedNames",
    "Names",
    "PairedNames",
    "WithinSentence",
    "Substitute",
    "SwapMode",
    "WithinDocument",
    "Window",
    "WithinWords",
]
