"""A compressed weight is a dense tensor whose values are restricted: Step, Grid, chains."""

from laconic.represent.chain import (
    chain,
    chains,
    description,
    layer_paths,
    matches_layer,
    rebuild,
    represent,
    represent_layers,
    weights,
)
from laconic.represent.latent import entering, latents, plain_before
from laconic.represent.plain import plain, plain_state, training_alone
from laconic.represent.select import Places, fold_foreign, select_places
from laconic.represent.step import Grid, Step, fitted, straight_through

__all__ = [
    "Grid",
    "Places",
    "Step",
    "chain",
    "chains",
    "description",
    "entering",
    "fitted",
    "fold_foreign",
    "latents",
    "layer_paths",
    "matches_layer",
    "plain",
    "plain_before",
    "plain_state",
    "rebuild",
    "represent",
    "represent_layers",
    "select_places",
    "straight_through",
    "training_alone",
    "weights",
]
