"""A `.lac` file with every kind of part in a few hundred bytes: golden, and to be damaged."""

import numpy as np

from laconic import runtime
from laconic.container import (
    StoredTensor,
    codebook,
    codebooks,
    pack_bytes,
    plain,
    products,
    to_bits,
    uniform,
)
from laconic.container import about as about_section
from laconic.container import probe as probe_section
from laconic.container import program as program_section
from laconic.container.probe import Probe
from laconic.container.program import Node, Program, Value

ABOUT = {"labels": ["cat", "Käfer"], "steps": {"head.scale": ["Uniform(bits=3, axis=None)"]}}
PROGRAM = Program(
    20,
    (Value("x", "F32", ("batch", 4)),),
    (Value("y", "F32", ("batch", 4)),),
    (
        Node("Mul", ("x", "head.scale"), ("scaled",)),
        Node("Add", ("scaled", "head.shift"), ("shifted",)),
        Node("LeakyRelu", ("shifted",), ("y",), {"alpha": 0.25}),
    ),
)
"""One rounding an operator, so that every machine computes the same bits."""


def small_tensors() -> list[StoredTensor]:
    """Each grid, several coders, a tied tensor, odd shapes and dtypes."""
    wave = np.arange(40, dtype="u4") * np.uint32(0x9E3779B9)
    return [
        uniform("head.scale", np.array([-2, 0, 1, 3]), np.float32([0.25]), None),
        plain("head.shift", to_bits(np.float32([1, -1, 0.5, 0])), "F32"),
        uniform("channels", np.arange(6).reshape(2, 3) - 2, np.float32([0.5, 3]), 0),
        codebook("few", to_bits(np.float16([0.5, 0, 0, -3] * 9)).reshape(2, 18), "F16"),
        uniform(
            "groups",
            np.arange(24).reshape(2, 12) % 7 - 3,
            np.float32([0.5, 3, 1, -2, 0.1, 7]),
            tile=(1, 5),
            rounding="F16",
            minus_zero=True,
        ),
        codebooks(
            "channels of few",
            to_bits(np.float32([[1, 2, -1], [0, 5, 5], [-0.0, 7, 7]])),
            "F32",
            (1, 3),
        ),
        plain("sparse", np.where(np.arange(200) % 17, 0, 7).astype("u1"), "I8"),
        plain("count", np.array(7, "u8"), "I64"),
        plain("nothing", np.zeros((0, 3), "u2"), "BF16"),
        plain("wave", wave, "F32"),
        plain("wave, tied", wave, "F32"),
    ]


def small_file() -> bytes:
    """The file's bytes."""
    tensors = small_tensors()
    names = [tensor.name for tensor in tensors]
    sections = {
        "program": program_section.encode(PROGRAM, names),
        "about": about_section.encode(ABOUT),
    }
    session = runtime.load(pack_bytes(tensors, sections))
    image = probe_section.make_input(PROGRAM.inputs[0], (1, 4), 0)
    outputs = tuple(probe_section.sample(output) for output in session.run(image))
    sections["probe"] = probe_section.encode(Probe(((1, 4),), outputs))
    return pack_bytes(tensors, sections)


def product_tensors() -> list[StoredTensor]:
    """Codes of runs of values: one stage and two, zeros, a halved dtype, one row."""
    book = np.arange(12, dtype="f4").reshape(1, 2, 2, 3) / 4 - 1
    halves = (np.arange(24, dtype="u2") * 41 + 0x3E80).reshape(2, 3, 2, 2)
    return [
        products("codes", np.array([[[1, 2], [0, 1], [2, 2]]]), to_bits(book), (3, 2, 3), "F32"),
        products("sums", np.arange(12).reshape(2, 2, 3) % 3, halves, (2, 6), "BF16"),
        products("row", np.array([[[1, 0, 1]]]), to_bits(np.ones((1, 3, 1, 1))), (3,), "F64"),
    ]


def product_file() -> bytes:
    """The bytes of a file that holds them."""
    return pack_bytes(product_tensors(), {})
