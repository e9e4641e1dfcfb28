"""A compressed weight is a dense tensor whose values are restricted: Step, Grid, chains."""

from laconic.represent.chain import (
    chain,
    chains,
    description,
    matches_layer,
    plain,
    plain_state,
    rebuild,
    represent,
    represent_layers,
    weights,
)
from laconic.represent.step import Grid, Step, fitted, straight_through

__all__ = [
    "Grid",
    "Step",
    "chain",
    "chains",
    "description",
    "fitted",
    "matches_layer",
    "plain",
    "plain_state",
    "rebuild",
    "represent",
    "represent_layers",
    "straight_through",
    "weights",
]
