"""How much a weight, neuron, filter or channel matters: an array of scores."""

from laconic.saliency.adam import AdamMoment
from laconic.saliency.channels import APoZ, FisherChannels, TaylorChannels
from laconic.saliency.data import Data, Examples
from laconic.saliency.fisher import Fisher, TrueFisher
from laconic.saliency.initial import (
    DistanceMoved,
    LargeFinalDifferentSign,
    LargeFinalSameSign,
    LargeInit,
    LargeInitLargeFinal,
    MagnitudeIncrease,
    SmallFinal,
    SmallInit,
    SmallInitSmallFinal,
)
from laconic.saliency.inputs import input_hessians, readable
from laconic.saliency.learned import LearnedScores
from laconic.saliency.lifelong import EWC, MAS, SynapticIntelligence
from laconic.saliency.magnitude import Magnitude
from laconic.saliency.movement import Movement
from laconic.saliency.norms import ChannelSum, L1Norm, L2Norm, RandomChannels
from laconic.saliency.obd import OBD
from laconic.saliency.obs import OBS, OBSGreedy
from laconic.saliency.outputs import output_curvatures
from laconic.saliency.random import Random
from laconic.saliency.saliency import Saliency, Scores
from laconic.saliency.taylor import Taylor
from laconic.saliency.wanda import Wanda

SALIENCIES: dict[str, type[Saliency]] = {
    "magnitude": Magnitude,
    "random": Random,
    "wanda": Wanda,
    "obd": OBD,
    "obs": OBS,
    "obs-greedy": OBSGreedy,
    "fisher": Fisher,
    "true-fisher": TrueFisher,
    "ewc": EWC,
    "mas": MAS,
    "adam-moment": AdamMoment,
    "synaptic-intelligence": SynapticIntelligence,
    "taylor": Taylor,
    "movement": Movement,
    "small-final": SmallFinal,
    "large-init": LargeInit,
    "small-init": SmallInit,
    "large-init-large-final": LargeInitLargeFinal,
    "small-init-small-final": SmallInitSmallFinal,
    "magnitude-increase": MagnitudeIncrease,
    "distance-moved": DistanceMoved,
    "large-final-same-sign": LargeFinalSameSign,
    "large-final-different-sign": LargeFinalDifferentSign,
    "learned-scores": LearnedScores,
    "l1": L1Norm,
    "l2": L2Norm,
    "fisher-channels": FisherChannels,
    "taylor-channels": TaylorChannels,
    "apoz": APoZ,
    "channel-sum": ChannelSum,
    "random-channels": RandomChannels,
}
"""Name in a recipe → class; all can be made without arguments."""

__all__ = [
    "EWC",
    "MAS",
    "OBD",
    "OBS",
    "SALIENCIES",
    "APoZ",
    "AdamMoment",
    "ChannelSum",
    "Data",
    "DistanceMoved",
    "Examples",
    "Fisher",
    "FisherChannels",
    "L1Norm",
    "L2Norm",
    "LargeFinalDifferentSign",
    "LargeFinalSameSign",
    "LargeInit",
    "LargeInitLargeFinal",
    "LearnedScores",
    "Magnitude",
    "MagnitudeIncrease",
    "Movement",
    "OBSGreedy",
    "Random",
    "RandomChannels",
    "Saliency",
    "Scores",
    "SmallFinal",
    "SmallInit",
    "SmallInitSmallFinal",
    "SynapticIntelligence",
    "Taylor",
    "TaylorChannels",
    "TrueFisher",
    "Wanda",
    "input_hessians",
    "output_curvatures",
    "readable",
]
