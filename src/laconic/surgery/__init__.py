"""Smaller shapes: channels, heads and layers removed for real; ordinary modules come out."""

from laconic.surgery.attention import HeadAttention
from laconic.surgery.batchnorm import recalibrate
from laconic.surgery.choose import (
    Units,
    lowest_of_all,
    lowest_of_each,
    matching,
    outliers_of_each,
    unit_scores,
)
from laconic.surgery.cut import Cut, apply_cut, cuts, unfuse
from laconic.surgery.dead import dead_units, remove_dead, remove_layers
from laconic.surgery.fold import fold_batchnorm
from laconic.surgery.groups import Group, Groups, Slices
from laconic.surgery.merge import merge_layers
from laconic.surgery.remove import remove

__all__ = [
    "Cut",
    "Group",
    "Groups",
    "HeadAttention",
    "Slices",
    "Units",
    "apply_cut",
    "cuts",
    "dead_units",
    "fold_batchnorm",
    "lowest_of_all",
    "lowest_of_each",
    "matching",
    "merge_layers",
    "outliers_of_each",
    "recalibrate",
    "remove",
    "remove_dead",
    "remove_layers",
    "unfuse",
    "unit_scores",
]
