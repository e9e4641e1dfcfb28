"""The number types of ONNX under the names that a `.lac` file gives them."""

from __future__ import annotations

from onnx import TensorProto

FILE_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "F32",
    TensorProto.FLOAT16: "F16",
    TensorProto.BFLOAT16: "BF16",
    TensorProto.DOUBLE: "F64",
    TensorProto.INT8: "I8",
    TensorProto.INT16: "I16",
    TensorProto.INT32: "I32",
    TensorProto.INT64: "I64",
    TensorProto.UINT8: "U8",
    TensorProto.UINT16: "U16",
    TensorProto.UINT32: "U32",
    TensorProto.UINT64: "U64",
    TensorProto.BOOL: "BOOL",
    TensorProto.FLOAT8E4M3FN: "F8_E4M3",
    TensorProto.FLOAT8E5M2: "F8_E5M2",
    TensorProto.COMPLEX64: "C64",
}
"""ONNX data type → the file's dtype."""
ONNX_DTYPES = {name: number for number, name in FILE_DTYPES.items()}
"""The file's dtype → ONNX data type."""
