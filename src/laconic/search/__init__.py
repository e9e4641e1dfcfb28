"""Searching: which layer can lose how much."""

from laconic.search.sensitivity import LEVELS, Setting, analyse

__all__ = ["LEVELS", "Setting", "analyse"]
