"""ONNX operators in NumPy, semantics of opset 18 and later (onnx.ai/onnx/operators).

An operator is a function: its positional-only arguments are the node's inputs in order (None for
an absent one), its keyword-only arguments the attributes under their ONNX names and defaults, so
that a node which older opsets wrote otherwise does not bind. It returns an array, or a tuple. A
function that also has the keyword ``output_count`` is told how many outputs the node has. No
operator changes its inputs; an output may be a view of one.

To add one: write the function in the file of its family, and one line in that file's table.
"""

from __future__ import annotations

from collections.abc import Callable

from laconic.runtime.operators.activation import ACTIVATION
from laconic.runtime.operators.arrays import Array
from laconic.runtime.operators.convolution import CONVOLUTION
from laconic.runtime.operators.creation import CREATION
from laconic.runtime.operators.elementwise import ELEMENTWISE
from laconic.runtime.operators.indexing import INDEXING
from laconic.runtime.operators.linear import LINEAR
from laconic.runtime.operators.normalisation import NORMALISATION
from laconic.runtime.operators.pooling import POOLING
from laconic.runtime.operators.quantized import QUANTIZED
from laconic.runtime.operators.recurrent import RECURRENT
from laconic.runtime.operators.reduction import REDUCTION
from laconic.runtime.operators.shape import SHAPE

OPERATORS: dict[str, Callable[..., Array | tuple[Array, ...]]] = {
    **CONVOLUTION,
    **LINEAR,
    **POOLING,
    **NORMALISATION,
    **ACTIVATION,
    **ELEMENTWISE,
    **QUANTIZED,
    **REDUCTION,
    **RECURRENT,
    **SHAPE,
    **INDEXING,
    **CREATION,
}
