"""Models as plain data: layers, tables of layers, targets. Nothing here knows an IR."""

from corecast.model.count import Count, count
from corecast.model.layer import Attribute, Behaviour, Call, Layer, LayerTable, Operand, Signature, Summarise
from corecast.model.operators import CONVOLUTIONS, DEFAULT_KERNELS, MOVES, SAYS_ALIKE, WEIGHTED, Operator
from corecast.model.padding import PADDED_AXES, PaddedAxis, factor, padded, sizes_of
from corecast.model.target import Support, Target
from corecast.model.targets import TargetError, find_target, known_targets
from corecast.model.tensor import TensorType, dtype_bits, is_lossless
from corecast.model.text import TableError, format_table, parse_table
from corecast.model.weights import WeightSummary

__all__ = [
    "CONVOLUTIONS",
    "DEFAULT_KERNELS",
    "MOVES",
    "PADDED_AXES",
    "SAYS_ALIKE",
    "WEIGHTED",
    "Attribute",
    "Behaviour",
    "Call",
    "Count",
    "Layer",
    "LayerTable",
    "Operand",
    "Operator",
    "PaddedAxis",
    "Signature",
    "Summarise",
    "Support",
    "TableError",
    "Target",
    "TargetError",
    "TensorType",
    "WeightSummary",
    "count",
    "dtype_bits",
    "factor",
    "find_target",
    "format_table",
    "is_lossless",
    "known_targets",
    "padded",
    "parse_table",
    "sizes_of",
]
