"""Smaller shapes: channels, heads and layers removed for real; ordinary modules come out."""

from laconic.surgery.cut import Cut, apply_cut
from laconic.surgery.groups import Group, Groups, Slices
from laconic.surgery.remove import remove

__all__ = ["Cut", "Group", "Groups", "Slices", "apply_cut", "remove"]
