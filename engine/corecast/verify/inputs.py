"""Input types and a seed in, arrays out: the same inputs for every model that takes the same types."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from corecast.lang.problems import CorecastError, Problem
from corecast.model import TensorType

Array = NDArray[np.generic]

# Whole numbers are often indices (tokens, classes), and few tables have fewer rows than this.
INTEGERS_BELOW = 8


class InputError(CorecastError):
    """Inputs that do not fit the model: wrong names, shapes, dtypes, or values that are no numbers."""


def seeded_inputs(types: Mapping[str, TensorType], seed: int) -> dict[str, Array]:
    """Standard normal floats, small whole numbers, fair coins; each input depends on its own name and the seed only.

    Raises `InputError` for an input whose shape is not static.
    """
    return {name: _random(name, tensor, seed) for name, tensor in types.items()}


def _random(name: str, tensor: TensorType, seed: int) -> Array:
    if tensor.shape is None or tensor.elements is None:
        sizes = (
            "SIZES" if tensor.shape is None else ",".join("1" if isinstance(x, str) else str(x) for x in tensor.shape)
        )
        help = f"convert the model with one: `corecast apply ... --shape {name}={sizes}`, or give inputs of your own"
        raise InputError(Problem("dynamic-input", f"input {name} has no static shape: {tensor}", help=help))
    shape = tuple(int(size) for size in tensor.shape)
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if tensor.dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    dtype = np.dtype(getattr(ml_dtypes, tensor.dtype, tensor.dtype))
    if "int" in tensor.dtype:
        return random.integers(0, INTEGERS_BELOW, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def check_inputs(inputs: Mapping[str, Array], types: Mapping[str, TensorType]) -> dict[str, Array]:
    """The inputs in the model's order. Raises `InputError` with everything that does not fit."""
    problems = [
        Problem("unknown-input", f"the model has no input {name}", help=f"it has {', '.join(types)}")
        for name in sorted(inputs.keys() - types.keys())
    ]
    for name, tensor in types.items():
        array = inputs.get(name)
        if array is None:
            problems.append(Problem("missing-input", f"the model needs an input {name}: {tensor}"))
        elif not _fits(array, tensor):
            found = f"{array.dtype} {'x'.join(map(str, array.shape))}"
            problems.append(Problem("wrong-input", f"input {name} is {found}, and the model takes {tensor}"))
    if problems:
        raise InputError(problems)
    return {name: inputs[name] for name in types}


def _fits(array: Array, tensor: TensorType) -> bool:
    shape = tensor.shape
    same_rank = shape is None or len(shape) == array.ndim
    same_sizes = shape is None or all(isinstance(a, str) or a == b for a, b in zip(shape, array.shape, strict=False))
    return str(array.dtype) == tensor.dtype and same_rank and same_sizes
