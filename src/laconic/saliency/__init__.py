"""How much a weight, neuron, filter or channel matters: an array of scores."""

from laconic.saliency.data import Data, Examples
from laconic.saliency.magnitude import Magnitude
from laconic.saliency.random import Random
from laconic.saliency.saliency import Saliency, Scores

SALIENCIES: dict[str, type[Saliency]] = {
    "magnitude": Magnitude,
    "random": Random,
}
"""Name in a recipe → class."""

__all__ = ["SALIENCIES", "Data", "Examples", "Magnitude", "Random", "Saliency", "Scores"]
