"""Steps that make weights zero, and the scopes over which zeros are counted."""

from laconic.prune.balanced import PruneBalanced
from laconic.prune.blocks import PruneBlocks
from laconic.prune.classes import Classes, Part, weight_classes
from laconic.prune.dropout import scaled_dropout
from laconic.prune.gradual import Gradual, cubic
from laconic.prune.magnitude import Prune, check_sparsity, smallest
from laconic.prune.mask import Mask
from laconic.prune.n_m import PruneNM
from laconic.prune.neurons import ACTIVATIONS, drop_dead_neurons
from laconic.prune.patterns import PrunePatterns
from laconic.prune.penalty import Proximal, WeightPenalty, check_strengths
from laconic.prune.quality import QualityThreshold
from laconic.prune.regulariser import REGULARISERS, Regulariser
from laconic.prune.scope import SCOPES, Scope
from laconic.prune.supermask import Draw, Supermask, settle, supermasks
from laconic.prune.threshold import Threshold
from laconic.prune.tsrelu import Architecture, Clip, TsReLU, absorb, with_tsrelu
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {
    "prune": Prune,
    "prune-n-m": PruneNM,
    "prune-blocks": PruneBlocks,
    "prune-patterns": PrunePatterns,
    "prune-balanced": PruneBalanced,
    "supermask": Supermask,
    "threshold": Threshold,
    "quality-threshold": QualityThreshold,
}
"""Name in a recipe → class."""

__all__ = [
    "ACTIVATIONS",
    "REGULARISERS",
    "SCOPES",
    "STEPS",
    "Architecture",
    "Classes",
    "Clip",
    "Draw",
    "Gradual",
    "Mask",
    "Part",
    "Proximal",
    "Prune",
    "PruneBalanced",
    "PruneBlocks",
    "PruneNM",
    "PrunePatterns",
    "QualityThreshold",
    "Regulariser",
    "Scope",
    "Supermask",
    "Threshold",
    "TsReLU",
    "WeightPenalty",
    "absorb",
    "check_sparsity",
    "check_strengths",
    "cubic",
    "drop_dead_neurons",
    "scaled_dropout",
    "settle",
    "smallest",
    "supermasks",
    "weight_classes",
    "with_tsrelu",
]
