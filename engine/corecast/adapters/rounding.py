"""An array in, the same in another dtype out, as every device that we know rounds it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from corecast.adapters.weights_file import Array


def rounded(array: Array, dtype: str) -> Array:
    """Each value rounded to the nearest one of a dtype; what an eight-bit float cannot hold becomes its largest value.

    ml_dtypes makes NaN of it there (`float8_e4m3fn` has no infinity). CUDA's conversions saturate, and so does ONNX's
    `Cast` where nothing else is said. NaN stays NaN.
    """
    target = numpy_dtype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # what is lost so, `check_values` tells
        if dtype.startswith("float8"):
            largest = float(ml_dtypes.finfo(target).max)
            array = np.clip(array.astype(np.promote_types(array.dtype, np.float32), copy=False), -largest, largest)
        result: Array = array.astype(target)
    return result


def numpy_dtype(name: str) -> np.dtype[Any]:
    """numpy's dtype of a name; those that it lacks come from ml_dtypes."""
    return np.dtype(getattr(ml_dtypes, name, name))
