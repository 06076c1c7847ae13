"""How a stream of documents becomes rows of one length."""

from data.packing.base import Packing, RowTable, empty_rows
from data.packing.best_fit import BestFit
from data.packing.padded import Padded
from data.packing.sampled import Sampled
from data.packing.windows import Windows

__all__ = ["BestFit", "Packing", "Padded", "RowTable", "Sampled", "Windows", "empty_rows"]
