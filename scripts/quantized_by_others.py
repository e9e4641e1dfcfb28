#!/usr/bin/env python3
"""Write tests/pack/data/: small weights that other packages quantized, as dense floats.

Needs onnxruntime, nncf, openvino and torchao (the extra `quantizers`). A small network of fixed
weights is quantized by each; a file holds the bits of the floats that it computes with, their
dtype, and the integers that it keeps, by which tests judge the sizes.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "pack" / "data"
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
Weights = dict[str, tuple[Tensor, np.ndarray[Any, Any]]]
"""Name → the dense floats, and the integers behind them, without their zero points."""


def network() -> nn.Module:
    """Two layers of fixed weights, each row as wide as its place says."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32))
    with torch.no_grad():
        for layer in (layers[0], layers[2]):
            layer.weight.normal_().mul_(torch.linspace(0.01, 0.05, len(layer.weight))[:, None])
    return layers.eval()


def onnxruntime_weights(*, per_channel: bool) -> tuple[Weights, bytes]:
    """`quantize_static` in QDQ form: the dense weights, and the .onnx file itself."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            generator = np.random.default_rng(0)
            self.left = [{"x": generator.standard_normal((4, 128), np.float32)} for _ in range(2)]

        def get_next(self) -> dict[str, Any] | None:
            return self.left.pop() if self.left else None

    with TemporaryDirectory() as folder:
        plain, ready, done = (f"{folder}/{name}.onnx" for name in ("plain", "ready", "done"))
        onnx.save(_onnx_network(), plain)
        quant_pre_process(plain, ready)
        quantize_static(ready, done, Noise(), per_channel=per_channel, weight_type=QuantType.QInt8)
        data = Path(done).read_bytes()
    return _dequantized(onnx.load_from_string(data)), data


def _onnx_network() -> onnx.ModelProto:
    """The layers of `network` without biases."""
    first, second = (network()[i].weight.detach().T.numpy() for i in (0, 2))
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "0.weight"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "2.weight"], ["y"]),
        ],
        "network",
        [helper.make_tensor_value_info("x", kind, [4, 128])],
        [helper.make_tensor_value_info("y", kind, [4, 32])],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(first), "0.weight"),
            onnx.numpy_helper.from_array(np.ascontiguousarray(second), "2.weight"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _dequantized(model: onnx.ModelProto) -> Weights:
    """The matrices behind the model's DequantizeLinear nodes."""
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    found: Weights = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in arrays:
            continue
        integers, scale, zero = (arrays[name] for name in node.input)
        if integers.ndim < 2:
            continue
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        if scale.ndim:
            shape = [-1 if i == axis else 1 for i in range(integers.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        codes = integers.astype(np.int32) - zero.astype(np.int32)
        dense = codes.astype(np.float32) * scale
        found[node.input[0]] = torch.from_numpy(dense), codes.astype(np.int16)
    return found


def nncf_weights(mode: str, group: int) -> Weights:
    """`nncf.compress_weights`: what OpenVINO computes the weights to be."""
    import nncf
    import openvino as ov

    model = ov.convert_model(network(), example_input=torch.zeros(4, 128))
    settings = {} if group < 0 else {"ratio": 1.0, "group_size": group, "all_layers": True}
    packed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode(mode), **settings)
    nodes = {node.get_friendly_name(): node for node in packed.get_ordered_ops()}
    found: Weights = {}
    for name in ("0.weight", "2.weight"):
        whole = nodes[f"self.{name}/fq_weights_1/convert"]
        dense = ov.compile_model(ov.Model([whole.output(0)], [], name), "CPU")([])[0]
        scale = nodes[f"self.{name}/scale"].data.astype(np.float32)
        each = dense.reshape(*scale.shape[:-1], -1) / scale
        found[name] = torch.from_numpy(dense), np.rint(each).astype(np.int16).reshape(dense.shape)
    return found


def torchao_weights(bits: int, group: int, dtype: torch.dtype) -> Weights:
    """`torchao.quantization.quantize_`, weights only."""
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup

    layers = network().to(dtype)
    if bits == 8:
        quantize_(layers, Int8WeightOnlyConfig())
    else:
        quantize_(layers, IntxWeightOnlyConfig(torch.int4, PerGroup(group)), _divides(group))
    found: Weights = {}
    for name, value in layers.named_parameters():
        if hasattr(value, "qdata"):
            found[name] = value.dequantize().detach(), value.qdata.numpy().astype(np.int16)
    return found


def _divides(group: int) -> Any:
    return lambda module, _: isinstance(module, nn.Linear) and not module.in_features % group


def all_weights() -> dict[str, Weights]:
    """Every case by its name."""
    cases = {
        "onnxruntime-int8": onnxruntime_weights(per_channel=False)[0],
        "onnxruntime-int8-channels": onnxruntime_weights(per_channel=True)[0],
        "torchao-int8": torchao_weights(8, -1, torch.float32),
        "torchao-int8-bfloat16": torchao_weights(8, -1, torch.bfloat16),
        "torchao-int8-float16": torchao_weights(8, -1, torch.float16),
        "torchao-int4-groups-of-32": torchao_weights(4, 32, torch.float32),
        "torchao-int4-groups-of-64-bfloat16": torchao_weights(4, 64, torch.bfloat16),
        "torchao-int4-groups-of-128": torchao_weights(4, 128, torch.float32),
    }
    for mode, group in (("int8_sym", -1), ("int8_asym", -1), ("int4_sym", 32), ("int4_asym", 64)):
        name = f"nncf-{mode.replace('_', '-')}" + (f"-groups-of-{group}" if group > 0 else "")
        cases[name] = nncf_weights(mode, group)
    return cases


def as_arrays(weights: Weights) -> dict[str, np.ndarray[Any, Any]]:
    """What a file of `DATA` holds."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, (dense, codes) in weights.items():
        signed = torch.int32 if dense.dtype == torch.float32 else torch.int16
        bits = dense.contiguous().view(signed).numpy()
        arrays[name] = bits.view(bits.dtype.str.replace("i", "u"))
        arrays[f"{name}.codes"] = codes
        arrays["dtype"] = np.array(DTYPES[dense.dtype])
    return arrays


def main() -> None:
    """Write every case, and the .onnx file that ONNX Runtime made."""
    DATA.mkdir(exist_ok=True)
    for name, weights in all_weights().items():
        np.savez_compressed(DATA / f"{name}.npz", **as_arrays(weights))
    (DATA / "onnxruntime-int8-channels.onnx").write_bytes(onnxruntime_weights(per_channel=True)[1])
    print(f"wrote {DATA.relative_to(ROOT)}: {len(list(DATA.iterdir()))} files")


if __name__ == "__main__":
    main()
