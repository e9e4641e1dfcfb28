"""Searching: which layer can lose how much, and which shape needs no weights."""

from laconic.search.agnostic import Network, Scored, agnostic_search
from laconic.search.sensitivity import LEVELS, Setting, analyse

__all__ = ["LEVELS", "Network", "Scored", "Setting", "agnostic_search", "analyse"]
