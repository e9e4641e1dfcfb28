"""The classes of a network's weights: what is compared with its like when weights are pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from laconic.errors import UsageError
from laconic.represent import weights

GATES: dict[type[nn.Module], str] = {
    nn.LSTM: "ifgo",
    nn.LSTMCell: "ifgo",
    nn.GRU: "rzn",
    nn.GRUCell: "rzn",
}
"""Recurrent layer → its gates, in the order in which their rows stand in a weight."""


class Part(NamedTuple):
    """Rows ``start`` to ``stop`` of a weight; all of it where they are None."""

    weight: str
    start: int | None = None
    stop: int | None = None

    def of(self, tensor: Tensor) -> Tensor:
        """These rows of a tensor of the weight's shape, as a view."""
        return tensor if self.start is None else tensor[self.start : self.stop]


Classes = dict[str, list[Part]]
"""Class → its parts; each weight is in one class, or its rows are dealt out to several."""


def weight_classes(model: nn.Module, names: Sequence[str] | None = None) -> Classes:
    """Cut a network's weights into the classes of See, Luong, Manning, arXiv:1606.09274.

    A class is an embedding; a gate of a recurrent weight (of LSTM i, f, g, o, of GRU r, z, n; the
    input's and the state's matrices of each layer and direction apart); the matrices of an
    attention module together (`nn.MultiheadAttention`, or any module whose class is called
    something with "Attention", the outermost of those that stand in each other); the softmax
    layer; any other layer. So a class is called like its weight (``"decoder.weight"``), a gate
    ``"lstm.weight_hh_l0[f]"``, an attention as its module.

    The paper's classes are those of a translation network, where the four gates of a layer, of
    input and state, are one; it looks at the eight apart when it asks which of them matter.

    Args:
        model: with or without chains.
        names: of weights; None: all.

    Raises:
        UsageError: a gated weight has not as many rows as its gates need.

    Examples:
        >>> classes = weight_classes(nn.ModuleDict({"gru": nn.GRU(2, 5), "out": nn.Linear(5, 3)}))
        >>> list(classes)[:4], list(classes)[-1]
        (['gru.weight_ih_l0[r]', 'gru.weight_ih_l0[z]', 'gru.weight_ih_l0[n]', \
'gru.weight_hh_l0[r]'], 'out.weight')
        >>> classes["gru.weight_ih_l0[z]"]
        [Part(weight='gru.weight_ih_l0', start=5, stop=10)]
    """
    present = weights(model)
    attentions = _attentions(model)
    classes: Classes = {}
    for name in present if names is None else names:
        path, _, key = name.rpartition(".")
        gates = _gates(model.get_submodule(path), key)
        around = next((a for a in attentions if path == a or path.startswith(f"{a}.")), None)
        if gates:
            rows, left = divmod(len(present[name]), len(gates))
            if left:
                raise UsageError(f"{name}: {len(present[name])} rows for {len(gates)} gates")
            for place, gate in enumerate(gates):
                part = Part(name, place * rows, (place + 1) * rows)
                classes[f"{name}[{gate}]"] = [part]
        elif around is not None:
            classes.setdefault(around, []).append(Part(name))
        else:
            classes[name] = [Part(name)]
    return classes


def _attentions(model: nn.Module) -> list[str]:
    """Paths of attention modules, the outermost first."""
    return [
        path
        for path, module in model.named_modules()
        if "attention" in type(module).__name__.lower()
    ]


def _gates(module: nn.Module, key: str) -> str:
    """The gates whose rows stand in this weight; none for a projection or another layer."""
    if not key.startswith(("weight_ih", "weight_hh")):
        return ""
    return next((gates for kind, gates in GATES.items() if isinstance(module, kind)), "")
