"""Recipes that ship: each module has a function `curation` that returns a `Curation`."""
