"""Reads the text of a compiled program, and tells what it costs: `cost.cost_of(compiled, chip, mesh)`."""
