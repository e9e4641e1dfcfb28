"""Steps that make weights zero, and the scopes over which zeros are counted."""

from laconic.prune.gradual import Gradual, cubic
from laconic.prune.magnitude import Prune, check_sparsity, smallest
from laconic.prune.mask import Mask
from laconic.prune.scope import SCOPES, Scope, global_scope, layer_scope
from laconic.represent import Step

STEPS: dict[str, type[Step]] = {"prune": Prune}

__all__ = [
    "SCOPES",
    "STEPS",
    "Gradual",
    "Mask",
    "Prune",
    "Scope",
    "check_sparsity",
    "cubic",
    "global_scope",
    "layer_scope",
    "smallest",
]
