"""Families of public models: presets, and the map to and from their published files."""
