"""Probes that ship: what is measured inside the training step where an experiment asks for it."""
