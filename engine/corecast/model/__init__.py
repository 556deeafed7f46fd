"""Models as plain data: layers, tables of layers, targets. Nothing here knows an IR."""

from corecast.model.layer import Attribute, Behaviour, Call, Layer, LayerTable, Operand, digest
from corecast.model.operators import DEFAULT_KERNELS, WEIGHTED, Operator
from corecast.model.tensor import TensorType, dtype_bits
from corecast.model.text import format_table, parse_table

__all__ = [
    "DEFAULT_KERNELS",
    "WEIGHTED",
    "Attribute",
    "Behaviour",
    "Call",
    "Layer",
    "LayerTable",
    "Operand",
    "Operator",
    "TensorType",
    "digest",
    "dtype_bits",
    "format_table",
    "parse_table",
]
