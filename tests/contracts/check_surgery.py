"""What every cut promises: the smaller network computes what the zeroed network computed."""

from __future__ import annotations

import copy

import torch

from laconic.surgery import Cut, Groups, apply_cut, remove
from laconic.surgery.export import Example
from laconic.surgery.remove import difference, outputs, zeroed


def some_units(groups: Groups, share: float = 1 / 3, seed: int = 1) -> dict[str, list[int]]:
    """A random third of each group, at least one unit, never all."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randperm(group.size, generator=generator)[: max(1, int(share * group.size))]
        .sort()
        .values.tolist()
        for name, group in groups.items()
        if group.size > 1
    }


def stir_norms(model: torch.nn.Module, seed: int = 0) -> None:
    """Give BatchNorm layers statistics, scales and shifts that matter, in place."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                for tensor, low, high in [
                    (module.running_mean, -1, 1), (module.running_var, 0.5, 2.0),
                    (module.weight, 0.5, 1.5), (module.bias, -1, 1),
                ]:  # fmt: skip
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)


def check_surgery(model: torch.nn.Module, example: Example) -> Cut:
    """Remove a third of every group at once, and do it again from the cut as data."""
    before = copy.deepcopy(model).eval()
    groups = Groups(model, example)
    assert len(groups) > 0
    cut = remove(model, example, some_units(groups), groups)
    model.eval()
    found, wanted = outputs(model, example), outputs(zeroed(before, cut), example)
    assert difference(found, wanted) <= 1e-5
    assert difference(found, outputs(before, example)) > 1e-4, "the cut removed nothing that counts"
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count < sum(parameter.numel() for parameter in before.parameters())
    again = copy.deepcopy(before)
    apply_cut(again, Cut.from_json(cut.as_json()))
    assert difference(outputs(again, example), found) == 0
    return cut
