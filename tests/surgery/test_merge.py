"""Two linear layers become one, as a cut that can be done again."""

import json

import pytest
import torch
from torch import nn

from laconic.errors import MismatchError, UnsupportedError
from laconic.prune import Prune
from laconic.represent import represent
from laconic.surgery import Cut, apply_cut, cuts, merge_layers
from laconic.surgery.merge import following

EXAMPLE = torch.zeros(1, 6)


def stack(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 3)).eval()


def test_the_merged_layer_computes_both_without_the_activation():
    model = stack()
    rows = torch.randn(9, 6)
    expected = model[3](model[0](rows))
    merge_layers(model, EXAMPLE, "0", "1", "3")
    assert [type(module) for module in model] == [nn.Identity, nn.Identity, nn.Dropout, nn.Linear]
    torch.testing.assert_close(model(rows), expected, rtol=1e-5, atol=1e-6)
    assert not model[3].training


def test_a_cut_is_done_again_from_its_json():
    model, fresh = stack(), stack()
    merge_layers(model, EXAMPLE, "0", "1", "3")
    (cut,) = cuts(model)
    apply_cut(fresh, Cut.from_json(json.loads(json.dumps(cut.as_json()))))
    assert torch.equal(fresh[3].weight, model[3].weight)
    with pytest.raises(MismatchError, match="has no module 'x'"):
        apply_cut(fresh, Cut(merged=[["x", "1", "3"]]))


def test_a_cut_that_was_kept_before_there_were_merges_is_read():
    data = Cut(identities=["1"]).as_json()
    del data["merged"]
    assert Cut.from_json(data) == Cut(identities=["1"])


def test_what_follows_a_layer_is_found():
    model = stack()
    assert following(nn.Sequential(model[0], model[1], model[3]), EXAMPLE, "0") == ("1", "2")


def test_a_layer_under_a_mask_does_not_merge():
    model = stack()
    represent(model[3], Prune(0.5))
    with pytest.raises(UnsupportedError, match="3: a chain restricts its weight; merge layers bef"):
        merge_layers(model, EXAMPLE, "0", "1", "3")


class Twice(nn.Module):
    """Three linear layers with one ReLU between them, or the second layer used twice."""

    def __init__(self, again=False):
        super().__init__()
        self.fc0, self.fc1, self.fc2 = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.relu, self.again = nn.ReLU(), again

    def forward(self, rows):
        if self.again:
            return self.fc2(self.fc1(self.relu(self.fc1(rows))))
        return self.fc2(self.relu(self.fc1(self.relu(self.fc0(rows)))))


@pytest.mark.parametrize("ask", [
    pytest.param(lambda *given: following(*given, "fc1"), id="when asked what follows"),
    pytest.param(lambda *given: merge_layers(*given, "fc1", "relu", "fc2"), id="when merged"),
])  # fmt: skip
def test_a_relu_that_is_called_twice_does_not_go(ask):
    """It would go in front of the first layer too."""
    model = Twice()
    with pytest.raises(
        UnsupportedError, match=r"fc1: .* the network calls relu 2 times; give each"
    ):
        ask(model, EXAMPLE)
    assert isinstance(model.relu, nn.ReLU)


def test_a_relu_under_two_names_is_called_twice():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(6, 6), relu, nn.Linear(6, 6), relu, nn.Linear(6, 3))
    with pytest.raises(UnsupportedError, match=r"2: .* the network calls 1 2 times"):
        following(model, EXAMPLE, "2")


def test_a_layer_that_is_called_twice_does_not_merge():
    with pytest.raises(UnsupportedError, match=r"fc1: .* the network calls fc1 2 times"):
        merge_layers(Twice(again=True), EXAMPLE, "fc1", "relu", "fc2")
