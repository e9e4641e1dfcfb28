"""Steps that make weights zero, and the scopes over which zeros are counted."""

from laconic.prune.balanced import PruneBalanced
from laconic.prune.blocks import PruneBlocks
from laconic.prune.gradual import Gradual, cubic
from laconic.prune.magnitude import Prune, check_sparsity, smallest
from laconic.prune.mask import Mask
from laconic.prune.n_m import PruneNM
from laconic.prune.patterns import PrunePatterns
from laconic.prune.scope import SCOPES, Scope, global_scope, layer_scope
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {
    "prune": Prune,
    "prune-n-m": PruneNM,
    "prune-blocks": PruneBlocks,
    "prune-patterns": PrunePatterns,
    "prune-balanced": PruneBalanced,
}
"""Name in a recipe → class."""

__all__ = [
    "SCOPES",
    "STEPS",
    "Gradual",
    "Mask",
    "Prune",
    "PruneBalanced",
    "PruneBlocks",
    "PruneNM",
    "PrunePatterns",
    "Scope",
    "check_sparsity",
    "cubic",
    "global_scope",
    "layer_scope",
    "smallest",
]
