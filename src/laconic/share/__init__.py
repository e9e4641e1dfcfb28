"""Codebooks: weights that share few values."""

from laconic.represent import Step
from laconic.share.bins import ShareBins
from laconic.share.codebook import Codebook
from laconic.share.entropy import ShareEntropy
from laconic.share.jointly import plan_jointly
from laconic.share.kmeans import STARTS, kmeans, midpoints
from laconic.share.line import Line
from laconic.share.product import Product, Residual, Segments
from laconic.share.recluster import Recluster
from laconic.share.share import Share, ShareNearest
from laconic.share.vectors import vector_kmeans

STEPS: dict[str, type[Step]] = {
    "share": Share,
    "share-nearest": ShareNearest,
    "share-bins": ShareBins,
    "share-entropy": ShareEntropy,
    "product": Product,
    "residual": Residual,
}

__all__ = [
    "STARTS",
    "STEPS",
    "Codebook",
    "Line",
    "Product",
    "Recluster",
    "Residual",
    "Segments",
    "Share",
    "ShareBins",
    "ShareEntropy",
    "ShareNearest",
    "kmeans",
    "midpoints",
    "plan_jointly",
    "vector_kmeans",
]
