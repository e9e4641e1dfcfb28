"""Quantized networks as ONNX in QDQ form, which engines run on integers."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from laconic.errors import UnsupportedError, UsageError
from laconic.pack import export_onnx, pack
from laconic.quantize import Uniform
from laconic.quantize.activation import attach
from laconic.quantize.activations import Static
from laconic.quantize.biases import quantize_biases
from laconic.quantize.calibrate import calibrate
from laconic.represent import represent_layers, weights
from laconic.surgery import fold_batchnorm
from laconic.zoo.resnet import ResNet


def images(count=64):
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def network(bits=8, place="input", axis=0):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 5),
    )  # fmt: skip
    represent_layers(net, {name: Uniform(bits, axis=axis) for name in weights(net)})
    attach(net, "*", lambda: Static(bits=8), place)
    calibrate(net, [images()])
    return net.eval()


def onnx_of(net, folder, example=None):
    pack(net, folder / "x.lac", example_input=images(1) if example is None else example)
    export_onnx(folder / "x.lac", folder / "x.onnx")
    return onnx.load(folder / "x.onnx")


def by_onnx_runtime(folder, x):
    """Outputs, and the operators that it really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "fused.onnx")
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "x.onnx", options, providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return found, Counter(node.op_type for node in onnx.load(folder / "fused.onnx").graph.node)


def by_openvino(folder, x):
    """Outputs, and how many layers compute in 8 bits."""
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # of what is not quantized: some processors take bf16
    }
    compiled = core.compile_model(core.read_model(folder / "x.onnx"), "CPU", settings)
    (found,) = compiled([x.numpy()]).values()
    precisions = Counter(
        op.get_rt_info()["layerType"].astype(str)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["runtimePrecision"].astype(str) in ("u8", "i8")
    )
    return found, precisions["Convolution"] + precisions["FullyConnected"]


def same_class(found, expected):
    return float((found.argmax(1) == expected.argmax(1)).mean())


def test_weights_are_int8_and_biases_int32_with_the_same_values(tmp_path):
    net = network()
    assert quantize_biases(net) == ["0", "2", "5"]
    model = onnx_of(net, tmp_path)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert not set(arrays) & {"0.weight", "0.bias", "5.weight", "5.bias"}
    seen = 0
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in arrays:
            continue
        seen += 1
        integers, scale, zero = (arrays[name] for name in node.input)
        name = node.input[0].split(" ")[0]
        value = getattr(net[int(name[0])], name[2:]).detach().numpy()
        assert integers.dtype == (np.int8 if "weight" in name else np.int32)
        assert not zero.any()
        scale = scale.reshape([-1] + [1] * (integers.ndim - 1))
        assert np.array_equal(integers.astype(np.float32) * scale, value), name
    assert seen == 6


def test_both_engines_run_it_on_integers_and_agree_with_torch(tmp_path):
    net, x = network(), images(200)
    quantize_biases(net)
    onnx_of(net, tmp_path)
    with torch.no_grad():
        expected = net(x).numpy()
    found, operators = by_onnx_runtime(tmp_path, x)
    assert operators["QLinearConv"] == 2
    assert operators["QGemm"] == 1
    assert same_class(found, expected) >= 0.995
    found, in_8_bits = by_openvino(tmp_path, x)
    assert in_8_bits == 3
    assert same_class(found, expected) >= 0.995


def test_fewer_bits_of_weights_are_int8_too_and_one_scale_is_one_number(tmp_path):
    model = onnx_of(network(bits=4, axis=None), tmp_path)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    integers = [a for name, a in arrays.items() if "weight integers" in name]
    assert len(integers) == 3
    assert all(a.dtype == np.int8 and np.abs(a).max() == 7 for a in integers)
    assert all(a.ndim == 0 for name, a in arrays.items() if "weight scale" in name)


def test_where_inputs_are_not_quantized_weights_stay_floats(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    represent_layers(net, {name: Uniform(8) for name in weights(net)})
    x = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    attach(net, "2", Static)
    calibrate(net, [x])
    names = {t.name for t in onnx_of(net, tmp_path, x[:1]).graph.initializer}
    assert {"0.weight", "0.bias", "2.bias"} <= names
    assert "2.weight" not in names


def test_linear_layers_of_sequences_have_int8_weights_too(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4, bias=False))
    represent_layers(net, {name: Uniform(8, axis=0) for name in weights(net)})
    attach(net, "*", Static)
    x = torch.randn(16, 5, 6, generator=torch.Generator().manual_seed(0))
    calibrate(net, [x])
    model = onnx_of(net.eval(), tmp_path, x[:1])
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    integers = {
        name.split(" ")[0]: a for name, a in arrays.items() if a.dtype == np.int8 and a.ndim == 2
    }
    assert {name: a.shape for name, a in integers.items()} == {
        "0.weight": (6, 4),
        "2.weight": (4, 4),
    }
    assert not set(arrays) & {"0.weight", "2.weight"}
    with torch.no_grad():
        expected = net(x).numpy()
    found, operators = by_onnx_runtime(tmp_path, x)
    assert operators["MatMulIntegerToFloat"] + operators["QLinearMatMul"] == 2, operators
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_more_than_8_bits_and_asymmetric_codes_stay_floats(tmp_path):
    names = {t.name for t in onnx_of(network(bits=9), tmp_path).graph.initializer}
    assert {"0.weight", "2.weight", "5.weight"} <= names


def test_biases_that_fit_no_layer_or_32_bits_are_refused():
    net = nn.Sequential(nn.Linear(6, 4))
    with pytest.raises(UsageError, match="no layer has a bias, inputs quantized to 8 bits and"):
        quantize_biases(net)
    net = network()
    net[2].bias.data[3] = 1e9
    with pytest.raises(UnsupportedError, match=r"^2\.bias: .* steps of its sums do not fit into"):
        quantize_biases(net)


def test_biases_of_transposed_convolutions_stay_as_they_are():
    # Axis 0 of its weight is the inputs', of which it may have as many as outputs.
    net = nn.Sequential(nn.ConvTranspose2d(3, 3, 3), nn.Conv2d(3, 2, 3))
    represent_layers(net, {name: Uniform(8, axis=0) for name in weights(net)})
    attach(net, "*", Static)
    calibrate(net, [images()])
    assert quantize_biases(net) == ["1"]


@pytest.mark.slow
def test_resnet_20_at_8_bits_is_within_a_tenth_of_a_point_in_both_engines(tmp_path):
    from laconic.studies.second_order import pretrained
    from laconic.zoo.tasks import cifar10

    task, net = cifar10(), pretrained("resnet20", ResNet(20))
    batches = task.batches("train", seed=0)
    training = [next(batches)[0] for _ in range(3)]
    x, y = (torch.cat(part)[:1000] for part in zip(*task.batches("test"), strict=True))
    with torch.no_grad():
        dense = float((net(x).argmax(1) == y).float().mean())
        fold_batchnorm(net, x[:2])
        represent_layers(net, {name: Uniform(8, axis=0) for name in weights(net)})
        attach(net, "*", Static)
        calibrate(net, training)
        quantize_biases(net)
        expected = net.eval()(x).numpy()
    right = float((expected.argmax(1) == y.numpy()).mean())
    assert right >= dense - 0.003
    onnx_of(net, tmp_path, x[:1])
    found, operators = by_onnx_runtime(tmp_path, x)
    assert operators["QLinearConv"] >= 9
    assert abs(float((found.argmax(1) == y.numpy()).mean()) - right) <= 0.001
    found, in_8_bits = by_openvino(tmp_path, x)
    assert in_8_bits == 20
    assert abs(float((found.argmax(1) == y.numpy()).mean()) - right) <= 0.001
