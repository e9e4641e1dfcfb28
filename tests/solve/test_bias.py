"""Means of layers, corrected one after the other."""

import copy

import torch
from torch import nn

from laconic.solve import shifts


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False), nn.ReLU(), nn.Flatten(),
        nn.Linear(3 * 4, 5), nn.ReLU(), nn.Linear(5, 2),
    ).eval()  # fmt: skip


def test_each_layer_has_the_mean_that_it_had():
    reference = network()
    changed = copy.deepcopy(reference)
    for parameter in changed.parameters():
        parameter.data = (parameter.data * 8).round() / 8
    inputs = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    found = shifts(changed, reference, inputs)
    assert list(found) == ["0", "5", "7"]  # those with a bias
    for path, shift in found.items():
        changed.get_submodule(path).bias.data += shift
    with torch.no_grad():
        means = [net(inputs).mean(0) for net in (changed, reference)]
        first = [net[0](inputs).mean((0, 2, 3)) for net in (changed, reference)]
    torch.testing.assert_close(*means)
    torch.testing.assert_close(*first)


def test_a_layer_that_is_called_twice_has_one_shift():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, inputs):
            return self.layer(self.layer(inputs))

    torch.manual_seed(0)
    reference = Twice()
    changed = copy.deepcopy(reference)
    changed.layer.bias.data += 1.0
    shift = shifts(changed, reference, torch.randn(8, 3))["layer"]
    torch.testing.assert_close(shift, torch.full((3,), -1.0))


def test_outputs_are_those_of_eval_mode():
    torch.manual_seed(0)
    reference = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    changed = copy.deepcopy(reference)
    changed[0].weight.data += 0.1
    inputs = torch.randn(8, 3)
    in_eval = shifts(copy.deepcopy(changed).eval(), copy.deepcopy(reference).eval(), inputs)
    in_training = shifts(changed, reference, inputs)
    assert all(torch.equal(in_eval[path], shift) for path, shift in in_training.items())
    assert changed.training
    assert changed[2].training
    assert int(changed[1].num_batches_tracked) == 0


def test_no_hook_stays():
    model = network()
    shifts(model, copy.deepcopy(model), torch.zeros(1, 2, 6, 6))
    assert not any(module._forward_hooks for module in model.modules())
