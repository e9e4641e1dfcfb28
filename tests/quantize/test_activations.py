"""Quantizers of activations: what torch computes, the exported program computes."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from laconic.errors import MismatchError, PatternError, UnsupportedError, UsageError
from laconic.pack.export import onnx_model
from laconic.pack.torch_program import capture
from laconic.quantize.activation import (
    activations,
    attach,
    describe_activations,
    detach,
    rebuild_activations,
)
from laconic.quantize.activations import Dynamic, Static
from laconic.quantize.calibrate import calibrate
from laconic.quantize.low_bit import Xnor
from laconic.quantize.uniform import Uniform
from laconic.represent import plain, plain_state, represent
from laconic.runtime.executor import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor
from laconic.surgery import remove


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def quantized(**arguments):
    net = network()
    attach(net, "*", lambda: Static(**arguments))
    calibrate(net, rows().split(8))
    return net.eval()


def rows(count=32):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1))


def reaching(low, high, **arguments):
    quantizer = Static(**arguments)
    quantizer.reach(low, high)
    return quantizer.eval()


QUANTIZERS = {
    "8 bits": lambda: reaching(-1.0, 2.0),
    "8 bits from zero": lambda: reaching(0.0, 2.0),
    "8 bits symmetric": lambda: reaching(-1.0, 2.0, symmetric=True),
    "4 bits": lambda: reaching(-1.0, 2.0, bits=4),
    "2 bits": lambda: reaching(-1.0, 2.0, bits=2),
    "12 bits": lambda: reaching(-1.0, 2.0, bits=12),
    "16 bits": lambda: reaching(-1.0, 2.0, bits=16),
    "dynamic by sample": lambda: Dynamic(),
    "dynamic by batch, 4 bits": lambda: Dynamic(4, per="batch"),
}


@pytest.mark.parametrize("case", QUANTIZERS)
def test_every_engine_computes_what_torch_computes_bit_for_bit(case):
    module = QUANTIZERS[case]()
    scale = float(getattr(module, "scale", torch.tensor(0.01)))
    ties = (torch.arange(-400.0, 400.0) / 2 * scale).reshape(8, 100)
    noise = torch.randn(8, 100, generator=torch.Generator().manual_seed(0)) * 3
    x = torch.cat([ties, noise])
    program = capture(module, x[:2])
    tensors = {name: value.numpy() for name, value in plain_state(module).items()}
    expected = module(x).numpy() + 0.0  # no minus zeros
    for engine in (NumpyExecutor, NativeExecutor):
        (found,) = engine(program, tensors).run({"values": x.numpy()})
        np.testing.assert_array_equal(found + 0.0, expected, str(engine))
    from onnx import numpy_helper

    used = set(program.free_names())
    proto = onnx_model(
        program, [numpy_helper.from_array(a, n) for n, a in tensors.items() if n in used]
    )
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_array_equal(session.run(None, {"values": x.numpy()})[0] + 0.0, expected)


def test_8_bits_and_fewer_are_quantize_linear_and_its_inverse():
    program = capture(reaching(0.0, 1.0), torch.zeros(2, 3))
    assert [n.operator for n in program.nodes] == ["QuantizeLinear", "DequantizeLinear"]
    narrow = [n.operator for n in capture(reaching(0.0, 1.0, bits=4), torch.zeros(2, 3)).nodes]
    assert narrow[-3:] == ["Clip", "QuantizeLinear", "DequantizeLinear"] or (
        narrow[-2:] == ["QuantizeLinear", "DequantizeLinear"] and {"Min", "Max"} <= set(narrow)
    )


def test_the_zero_point_is_the_integer_of_zero():
    # arXiv:1712.05877, section 3: 0 is a grid point, and the range is moved so that it is.
    quantizer = reaching(-0.75, 1.8)  # steps of 0.01
    assert int(quantizer.zero_point) == 75
    assert float(quantizer.scale) == pytest.approx(0.01)
    assert quantizer(torch.zeros(3)).eq(0).all()
    assert quantizer(torch.tensor([9.0, -9.0])).tolist() == pytest.approx([1.8, -0.75])


def test_what_is_never_negative_has_the_zero_point_0():
    net = quantized()
    assert int(net[2].input_quantizer.zero_point) == 0
    assert int(net[0].input_quantizer.zero_point) > 0


def test_the_gradient_is_one_inside_the_range_and_zero_outside():
    x = torch.tensor([-0.6, -0.4, 0.3, 1.9, 2.6], requires_grad=True)
    reaching(-0.5, 2.0, bits=4, observer="min-max").train()(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_in_training_the_range_follows_by_a_moving_average_and_eval_freezes_it():
    quantizer = reaching(0.0, 1.0, decay=0.75).train()
    quantizer(torch.tensor([0.0, 3.0]))
    assert float(quantizer.high) == pytest.approx(0.75 * 1 + 0.25 * 3)
    assert float(quantizer.scale) == pytest.approx(1.5 / 255)
    quantizer.eval()(torch.tensor([100.0]))
    assert float(quantizer.high) == 1.5
    fixed = reaching(0.0, 1.0, observer="min-max").train()
    fixed(torch.tensor([0.0, 3.0]))
    assert float(fixed.high) == 1.0


def test_a_range_out_of_a_file_goes_on_from_the_grid():
    quantizer = reaching(-1.0, 1.55, decay=0.5).train()
    quantizer.low = quantizer.high = None
    quantizer(torch.tensor([-3.0, 1.55]))
    assert float(quantizer.low) == pytest.approx(-2)
    assert float(quantizer.high) == pytest.approx(1.55)


def test_dynamic_ranges_of_samples_do_not_depend_on_the_batch():
    x = rows(4) * torch.tensor([[1.0], [10.0], [100.0], [0.0]])
    together, alone = Dynamic(4)(x), torch.cat([Dynamic(4)(row) for row in x.split(1)])
    assert torch.equal(together, alone)
    assert not torch.equal(Dynamic(4, per="batch")(x), alone)
    assert together[3].eq(0).all()


def test_layers_that_share_a_weight_each_get_a_quantizer():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    net[2].weight = net[0].weight
    assert attach(net, "0", Static) == ["0", "2"]
    calibrate(net, [rows()])
    assert net[0].input_quantizer.scale != net[2].input_quantizer.scale


def test_of_an_embedding_and_the_layer_that_shares_its_weight_the_layer_is_quantized():
    net = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
    net[1].weight = net[0].weight
    assert attach(net, "*", Static) == ["1"]


class Masked(nn.Linear):
    def forward(self, x, mask=None):
        return super().forward(x)


class ByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Masked(6, 3)

    def forward(self, x):
        return self.layer(mask=torch.ones(3), x=x)


def test_the_first_argument_is_quantized_where_arguments_come_by_name_in_another_order():
    net = ByName()
    attach(net, "*", lambda: Dynamic(2))
    expected = nn.functional.linear(Dynamic(2)(rows()), net.layer.weight, net.layer.bias)
    with torch.no_grad():
        assert torch.equal(net(rows()), expected)


def test_a_layer_that_is_read_and_never_called_is_refused():
    with pytest.raises(UnsupportedError, match=r"^out_proj: torch's attention reads this weight"):
        attach(nn.MultiheadAttention(8, 2), "*", Dynamic)


def test_copies_and_plain_networks_keep_their_quantizers_and_detach_removes_them():
    net = quantized()
    with torch.no_grad():
        expected, dense = net(rows()), network()(rows())
        assert not torch.equal(expected, dense)
        assert torch.equal(copy.deepcopy(net)(rows()), expected)
        assert torch.equal(plain(net)(rows()), expected)
        assert detach(net, "0") == ["0"]
        assert detach(net) == ["2"]
        assert torch.equal(net(rows()), dense)
    assert not net[0]._forward_pre_hooks
    with pytest.raises(PatternError, match="no layer matches 'x'; the layers are: none"):
        detach(net, "x")


def test_outputs_are_quantized_behind_the_layer():
    net = network()
    attach(net, "0", lambda: Static(bits=2), "output")
    calibrate(net, [rows()])
    assert len(net[0](rows()).unique()) <= 4
    assert [(path, place) for path, place, _ in activations(net)] == [("0", "output")]
    detach(net)
    assert len(net[0](rows()).unique()) > 4


def test_sums_are_scaled_before_outputs_are_quantized_in_whatever_order_they_came():
    net, fresh = network(), network()
    attach(net, "0", lambda: Static(bits=2), "output")
    attach(net, "0", Xnor)
    calibrate(net, [rows()])
    assert len(net.eval()[0](rows()).unique()) <= 4
    rebuild_activations(fresh, describe_activations(net), {"Static": Static, "Xnor": Xnor})
    fresh.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh.eval()(rows()), net(rows()))


def test_what_scales_sums_cannot_stand_behind_its_layer():
    with pytest.raises(UsageError, match=r"Xnor scales the sums of its layer .* stands at the inp"):
        attach(network(), "0", Xnor, "output")


def test_description_and_state_dict_come_back():
    net = quantized(bits=6, clip="percentile:99")
    fresh = network()
    described = describe_activations(net)
    assert described[0] == {
        "layer": "0", "place": "input", "quantizer": "Static", "bits": 6, "symmetric": False,
        "observer": "ema", "clip": "percentile:99", "decay": 0.99,
    }  # fmt: skip
    rebuild_activations(fresh, described, {"Static": Static})
    fresh.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh.eval()(rows()), net(rows()))
    assert describe_activations(fresh) == described
    with pytest.raises(MismatchError, match="0: no quantizer 'Static' can be put there again"):
        rebuild_activations(network(), described, {})


def test_moving_averages_stay_out_of_files():
    names = [name for name in plain_state(quantized()) if "quantizer" in name]
    assert names == [
        f"{layer}.input_quantizer.{name}" for layer in (0, 2) for name in ("scale", "zero_point")
    ]


def test_calibration_with_a_clip_leaves_outliers_out():
    x = torch.cat([rows(100), torch.full((1, 6), 1000.0)])
    net = network()
    attach(net, "0", lambda: Static(clip="percentile:97"))
    calibrate(net, [x])
    assert float(net[0].input_quantizer.scale) * 255 < 20


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.used(x)


def test_a_layer_that_never_ran_in_calibration_is_named():
    net = Idle()
    attach(net, "*", Static)
    with pytest.raises(UsageError, match=r"^idle\.input: no value came here in calibration"):
        calibrate(net, [rows()])


def test_constant_inputs_are_refused_by_name():
    net = network()
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
    attach(net, "2", Static)
    with pytest.raises(UsageError, match=r"^2\.input: all values were 0 in calibration; a const"):
        calibrate(net, [rows()])


def test_a_clip_looks_at_all_columns_of_images():
    # 64 images of 16 times 32 times 32: evenly spaced places would be those of the first column.
    x = torch.zeros(64, 16, 32, 32)
    x[..., 1:] = torch.rand(64, 16, 32, 31, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Conv2d(16, 1, 1))
    attach(net, "*", lambda: Static(clip="percentile:99"))
    calibrate(net, [x])
    assert float(net[0].input_quantizer.scale) * 255 == pytest.approx(0.99, abs=0.01)


def test_calibrating_again_leaves_alone_what_learns_nothing():
    net = network()
    attach(net, "0", Xnor)
    attach(net, "2", Static)
    calibrate(net, [rows()])
    before = float(net[2].input_quantizer.scale)
    assert calibrate(net, [rows() * 3], again=True) == ["2.input"]
    assert float(net[2].input_quantizer.scale) > before


def test_nan_in_calibration_is_refused_by_batch_or_by_layer():
    bad = rows()
    bad[3, 2] = torch.nan
    net = network()
    attach(net, "*", Static)
    with pytest.raises(UsageError, match="calibration batch 2 holds NaN or infinity"):
        calibrate(net, [rows(), bad])
    with torch.no_grad():
        net[0].weight[1, 1] = torch.inf
    with pytest.raises(UsageError, match=r"^2\.input: \d+ of 160 values are NaN or infinite"):
        calibrate(net, [rows()])
    assert not any(quantizer.watching for _, _, quantizer in activations(net))
    with pytest.raises(UsageError, match="there is no batch to calibrate on"):
        calibrate(net, [])


def test_what_was_never_calibrated_does_not_run():
    net = network()
    attach(net, "*", Static)
    with pytest.raises(UsageError, match=r"^Static\(bits=8.* has no range yet: calibrate\("):
        net(rows())
    calibrate(net, [rows()])
    with pytest.raises(UsageError, match="no quantizer of activations waits for a range"):
        calibrate(net, [rows()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 1}, r"bits 1 is outside 2\.\.16"),
        ({"bits": 17}, r"bits 17 is outside 2\.\.16"),
        ({"observer": "max"}, "no observer is named 'max'; there are: ema, min-max"),
        ({"decay": 1.0}, r"decay 1 is outside \[0, 1\)"),
        ({"clip": "best"}, "no clip is named 'best'"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Static(**arguments)


def test_a_zero_point_outside_the_grid_is_refused_by_name():
    net, fresh = quantized(bits=4), network()
    state = net.state_dict()
    state["2.input_quantizer.zero_point"] = torch.tensor(16, dtype=torch.uint8)
    rebuild_activations(fresh, describe_activations(net), {"Static": Static})
    with pytest.raises(MismatchError, match=r"^2\.input_quantizer: the zero point 16 is outside 0"):
        fresh.load_state_dict(state)
    state["2.input_quantizer.zero_point"] = torch.tensor(0, dtype=torch.uint8)
    state["2.input_quantizer.scale"] = torch.tensor(-0.5)
    with pytest.raises(MismatchError, match=r"^2\.input_quantizer: the scale -0\.5 is not positi"):
        fresh.load_state_dict(state)


def test_other_dtypes_and_integers_are_refused():
    net = network().double()
    attach(net, "*", Static)
    with pytest.raises(UsageError, match=r"^0\.input: activations of torch.float64 come here"):
        calibrate(net, [rows().double()])
    with pytest.raises(UnsupportedError, match="0: an embedding takes integers"):
        attach(nn.Sequential(nn.Embedding(4, 4)), "*", Static)
    with pytest.raises(UsageError, match="no grid of 8 bits reaches from 0 to 0"):
        Static().reach(0.0, 0.0)
    with pytest.raises(UsageError, match="no grid of 8 bits reaches from -3e"):
        Static().reach(-3e38, 3e38)
    with pytest.raises(UsageError, match="place is 'middle'; it is one of: input, output"):
        attach(network(), "*", Static, "middle")


def test_a_network_with_quantizers_can_still_be_cut():
    net = quantized()
    cut = remove(net, rows(2), {"0": [1, 3]})
    assert sorted(cut.tensors) == ["0.bias", "0.weight", "2.weight"]
    assert net[2].weight.shape == (3, 3)
    assert [path for path, _, _ in activations(net)] == ["0", "2"]


def test_the_inputs_of_an_lstm_on_12_bits_are_quantized():
    # ESE: 12-bit linear for weights and activations.
    torch.manual_seed(0)
    net = nn.LSTM(6, 5, batch_first=True)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        represent(net, Uniform(bits=12), name)
    x = torch.randn(4, 7, 6, generator=torch.Generator().manual_seed(1))
    dense = nn.Sequential(net)
    with torch.no_grad():
        before = dense(x)[0]
    assert attach(dense, "0", lambda: Static(bits=12)) == ["0"]
    calibrate(dense, [x])
    with torch.no_grad():
        after = dense.eval()(x)[0]
    assert 0 < (before - after).abs().max() < 1e-3
