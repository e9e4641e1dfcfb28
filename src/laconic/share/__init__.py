"""Codebooks: weights that share few values."""

from laconic.represent import Step
from laconic.share.bins import ShareBins
from laconic.share.codebook import Codebook
from laconic.share.entropy import ShareEntropy
from laconic.share.jointly import plan_jointly
from laconic.share.kmeans import STARTS, kmeans, midpoints
from laconic.share.line import Line
from laconic.share.share import Share, ShareNearest

STEPS: dict[str, type[Step]] = {
    "share": Share,
    "share-nearest": ShareNearest,
    "share-bins": ShareBins,
    "share-entropy": ShareEntropy,
}

__all__ = [
    "STARTS",
    "STEPS",
    "Codebook",
    "Line",
    "Share",
    "ShareBins",
    "ShareEntropy",
    "ShareNearest",
    "kmeans",
    "midpoints",
    "plan_jointly",
]
