"""A model's arguments and a seed in, arrays out: the same inputs for every model that takes the same."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from corecast.lang.problems import CorecastError, Problem
from corecast.model import LayerTable, TensorType
from corecast.verify.roles import Index, Mask, Role, roles

Array = NDArray[np.generic]

# Whole numbers are often indices (tokens, classes), and few tables have fewer rows than this.
INTEGERS_BELOW = 8


class InputError(CorecastError):
    """Inputs that do not fit the model: wrong names, shapes, dtypes, or values that are no numbers."""


# What a size that the model leaves open is in a check: a batch stands first, and what comes after it is as long as an
# image has to be to go through a few poolings.
OPEN_BATCH, OPEN_LENGTH = 2, 32


def inputs_for(table: LayerTable, seed: int) -> dict[str, Array]:
    """Seeded inputs that a model can take: indices within their tables, masks that let something through.

    Raises `InputError` as `seeded_inputs` does.
    """
    return seeded_inputs(table.arguments, seed, roles(table))


def seeded_inputs(
    types: Mapping[str, TensorType], seed: int, meaning: Mapping[str, Role] | None = None
) -> dict[str, Array]:
    """Standard normal floats, small whole numbers, fair coins; each input depends on its own name and the seed only.

    `meaning` says which integers are indices or masks. A size that is left open becomes 2 where it is a first axis,
    else 32. Raises `InputError` for an input whose rank is unknown or whose size is computed from others.
    """
    return {name: _random(name, tensor, seed, (meaning or {}).get(name)) for name, tensor in _sized(types).items()}


def _sized(types: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """The types with a number for each size that is left open; equal names have equal sizes."""
    shapes = {name: _known_rank(name, tensor) for name, tensor in types.items()}
    open_sizes: dict[int | str, int] = {}
    for shape in shapes.values():
        for axis, size in enumerate(shape):
            open_sizes.setdefault(size, size if isinstance(size, int) else OPEN_LENGTH if axis else OPEN_BATCH)
    return {
        name: TensorType(dtype=tensor.dtype, shape=tuple(open_sizes[size] for size in shapes[name]))
        for name, tensor in types.items()
    }


def _known_rank(name: str, tensor: TensorType) -> tuple[int | str, ...]:
    shape = tensor.shape
    if shape is None or any(isinstance(size, str) and not size.isidentifier() for size in shape):
        sizes = "SIZES" if shape is None else ",".join("1" if isinstance(x, str) else str(x) for x in shape)
        help = f"convert the model with one: `corecast apply ... --shape {name}={sizes}`, or give inputs of your own"
        raise InputError(Problem("dynamic-input", f"input {name} has no static shape: {tensor}", help=help))
    return shape


def _random(name: str, tensor: TensorType, seed: int, role: Role | None) -> Array:
    shape = tuple(int(size) for size in tensor.shape or ())
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    dtype = np.dtype(getattr(ml_dtypes, tensor.dtype, tensor.dtype))
    if isinstance(role, Mask) or tensor.dtype == "bool":
        mask = random.integers(0, 2, shape or (1,))
        mask[..., :1] = 1  # a row that hides everything has no answer
        return mask.reshape(shape).astype(dtype)
    if "int" in tensor.dtype:
        below = role.below if isinstance(role, Index) else INTEGERS_BELOW
        return random.integers(0, min(below, _largest(dtype) + 1), shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def _largest(dtype: np.dtype[np.generic]) -> int:
    return int(ml_dtypes.iinfo(dtype).max)


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
