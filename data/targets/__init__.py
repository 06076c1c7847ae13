"""What a model is asked to predict of a row of tokens."""

from data.targets.base import Field, MakeBatch, NextToken, Rows, Targets

__all__ = ["Field", "MakeBatch", "NextToken", "Rows", "Targets"]
