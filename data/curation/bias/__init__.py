"""How a corpus speaks of groups of people, and what can be done about it."""

from data.curation.bias.audit import BiasAudit, Sentences, WholeDocument, Window, Words

__all__ = ["BiasAudit", "Sentences", "WholeDocument", "Window", "Words"]
