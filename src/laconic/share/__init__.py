"""Codebooks: weights that share few values."""

from laconic.represent import Step
from laconic.share.kmeans import STARTS, kmeans, midpoints
from laconic.share.share import Share

STEPS: dict[str, type[Step]] = {"share": Share}

__all__ = ["STARTS", "STEPS", "Share", "kmeans", "midpoints"]
