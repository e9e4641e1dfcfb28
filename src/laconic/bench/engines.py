"""The engines that are timed, ours and others', each prepared for one network and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Call: TypeAlias = "Callable[[], list[Array]]"
"""Computes the outputs for the inputs that it was prepared for."""
LACONIC = "laconic"
ONNXRUNTIME, OPENVINO, TORCH = "ONNX Runtime", "OpenVINO", "PyTorch"
ERRORS_ALONE = 3


class Laconic:
    """A `.lac` file in `laconic.runtime`."""

    def __init__(self, path: Path, inputs: Sequence[Array], threads: int) -> None:
        from laconic import runtime

        self.session = runtime.load(path, engine="native", threads=threads)
        self.inputs = inputs

    def __call__(self) -> list[Array]:
        return self.session.run(*self.inputs)

    def parts(self) -> list[tuple[str, str, float]]:
        """Operator, form of its weights and seconds, of each operator of one run."""
        fed = dict(zip(self.session.input_names, self.inputs, strict=True))
        times = self.session.executor.times(fed)  # type: ignore[attr-defined]  # native's own
        return [(layer.operator, layer.form, seconds) for layer, seconds in times]


def onnxruntime(path: Path, inputs: Sequence[Array], threads: int) -> Call:
    """An `.onnx` file in ONNX Runtime: one pool of threads, the batch fixed, all else default."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = ERRORS_ALONE
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("batch", inputs[0].shape[0])
    session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    fed = dict(zip(names, inputs, strict=True))
    return lambda: [np.asarray(output) for output in session.run(None, fed)]


def openvino(path: Path, inputs: Sequence[Array], threads: int) -> Call:
    """An `.onnx` or `.xml` file in OpenVINO: shapes fixed, float32 unless the file says int8."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({i: openvino.PartialShape(list(a.shape)) for i, a in enumerate(inputs)})
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    request = compiled.create_infer_request()
    fed = dict(enumerate(inputs))

    def call() -> list[Array]:
        found = request.infer(fed, share_inputs=True, share_outputs=True)
        return [found[index] for index in range(len(compiled.outputs))]

    return call


def pytorch(path: Path, inputs: Sequence[Array], threads: int) -> Call:
    """A pickled module, run eagerly."""
    import torch

    torch.set_num_threads(threads)
    model = torch.load(path, weights_only=False)  # what `prepare` wrote a moment ago
    given = [torch.from_numpy(array) for array in inputs]

    @torch.inference_mode()
    def call() -> list[Array]:
        found = model(*given)
        return [tensor.numpy() for tensor in (found if isinstance(found, tuple) else (found,))]

    return call


ENGINES: dict[str, Callable[[Path, Sequence[Array], int], Call]] = {
    LACONIC: Laconic,
    ONNXRUNTIME: onnxruntime,
    OPENVINO: openvino,
    TORCH: pytorch,
}
PACKAGES = {ONNXRUNTIME: "onnxruntime", OPENVINO: "openvino", TORCH: "torch"}
"""Engine → what has to be installed for it."""
