"""The files that the engines run: one network dense, restricted, and quantized by others' tools."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from laconic.bench.cases import Case, Setting
from laconic.bench.engines import LACONIC, ONNXRUNTIME, OPENVINO, TORCH, Array
from laconic.container import Program
from laconic.container.atomic import write_bytes
from laconic.pack import capture, pack_model_bytes
from laconic.pack.export import onnx_model
from laconic.represent import plain_state

CALIBRATIONS = 8
"""Drawn inputs from which the ranges of 8-bit activations are taken."""
ONNXRUNTIME_INT8, OPENVINO_INT8 = f"{ONNXRUNTIME} int8", f"{OPENVINO} int8"


@dataclass(frozen=True)
class Side:
    """One column of the comparison."""

    name: str
    engine: str
    """A key of `laconic.bench.engines.ENGINES`."""
    path: Path
    setting: Setting | None = None
    """Of ours; the rivals run the dense network."""

    @property
    def is_exact(self) -> bool:
        """Whether it computes in float32."""
        return self.name not in (ONNXRUNTIME_INT8, OPENVINO_INT8)


class Prepared:
    """Makes files in a folder, each once; those of an earlier run are used again.

    Args:
        case: which network.
        batch: for how many examples at once.
        folder: where the files are.
        installed: the rivals' engines.
    """

    def __init__(self, case: Case, batch: int, folder: Path, installed: list[str]) -> None:
        self.case, self.batch, self.installed = case, batch, installed
        self._stem = case.name if case.has_dynamic_batch else f"{case.name}-{batch}"
        self._folder = folder
        self._program: Program | None = None

    def sides(self) -> list[Side]:
        """Ours under each setting, then the rivals."""
        found = [
            Side(f"{LACONIC}, {setting.name}", LACONIC, self.restricted(setting), setting)
            for setting in self.case.settings
        ]
        dense: dict[str, Callable[[], Path]] = {
            ONNXRUNTIME: self.dense, OPENVINO: self.dense, TORCH: self.module,
        }  # fmt: skip
        found += [Side(name, name, dense[name]()) for name in self.installed]
        if self.case.has_int8:
            eight_bits: dict[str, tuple[str, Callable[[], Path]]] = {
                ONNXRUNTIME: (ONNXRUNTIME_INT8, self.onnxruntime_int8),
                OPENVINO: (OPENVINO_INT8, self.openvino_int8),
            }
            for engine in self.installed:
                if engine in eight_bits and (engine != OPENVINO or has_nncf()):
                    name, make = eight_bits[engine]
                    found.append(Side(name, engine, make()))
        return found

    def restricted(self, setting: Setting) -> Path:
        """Our file under a setting."""

        def write(path: Path) -> None:
            model = self.case.restricted(setting)
            # The preset says how fast a file decodes; the weights are the same.
            data = pack_model_bytes(model, program=self.program(), probe=False, coding="fastest")
            write_bytes(path, data)

        slug = re.sub(r"[^a-z0-9]+", "-", setting.name.lower())
        return self._once(f"{self._stem}-{slug}.lac", write)

    def dense(self) -> Path:
        """The dense network as ONNX."""

        def write(path: Path) -> None:
            state = plain_state(self.case.model())
            tensors = [
                numpy_helper.from_array(state[name].numpy(), name)
                for name in self.program().free_names()
            ]
            onnx.save(onnx_model(self.program(), tensors), path)

        return self._once(f"{self._stem}.onnx", write)

    def module(self) -> Path:
        """The dense network as PyTorch pickles it."""
        return self._once(f"{self._stem}.pt", lambda path: torch.save(self.case.model(), path))

    def onnxruntime_int8(self) -> Path:
        """The dense network with 8-bit weights (a scale a channel) and activations, by QDQ."""
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        calibrations = self._calibrations()

        class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
            def get_next(self) -> dict[str, Array] | None:
                return calibrations.pop() if calibrations else None

        def write(path: Path) -> None:
            folded = path.with_suffix(".folded.onnx")
            quant_pre_process(str(self.dense()), str(folded), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(folded),
                str(path),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            folded.unlink()

        return self._once(f"{self._stem}-onnxruntime-int8.onnx", write)

    def openvino_int8(self) -> Path:
        """The dense network with 8-bit weights and activations, by NNCF."""
        import nncf
        import openvino

        def write(path: Path) -> None:
            model = openvino.Core().read_model(self.dense())
            data = nncf.Dataset(self._calibrations())
            quantized = nncf.quantize(model, data, subset_size=CALIBRATIONS)
            openvino.save_model(quantized, path)

        return self._once(f"{self._stem}-openvino-int8.xml", write)

    def program(self) -> Program:
        """What the network computes; the settings share it."""
        if self._program is None:
            example = tuple(self.case.inputs(self.batch))
            dynamic = self.case.has_dynamic_batch
            self._program = capture(self.case.model(), example, dynamic_batch=dynamic)
        return self._program

    def arrays(self) -> list[Array]:
        """The inputs that are timed."""
        return [tensor.numpy() for tensor in self.case.inputs(self.batch)]

    def _calibrations(self) -> list[dict[str, Array]]:
        generator = np.random.default_rng(2)
        values = self.program().inputs
        shapes = self.case.shapes(1)
        return [
            {
                value.name: generator.standard_normal(shape, np.float32)
                for value, shape in zip(values, shapes, strict=True)
            }
            for _ in range(CALIBRATIONS)
        ]

    def _once(self, name: str, write: Callable[[Path], None]) -> Path:
        path = self._folder / name
        if not path.exists():
            write(path)
        return path


def has_nncf() -> bool:
    """Whether OpenVINO's quantizer is installed."""
    from importlib.util import find_spec

    return find_spec("nncf") is not None
