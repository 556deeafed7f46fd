"""Parameters as a safetensors file, and back: also those in dtypes that the format or its reader does not know."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

Array: TypeAlias = NDArray[Any]

# The format has no four-bit integers: they are stored one a byte, and the metadata says what they are.
_STORED_AS = {"int4": np.int8, "uint4": np.uint8}
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
_METADATA = "corecast_dtypes"


def write_weights(parameters: Mapping[str, Array], path: Path) -> None:
    """Write parameters under their names. Raises `OSError`."""
    special = {name: str(array.dtype) for name, array in parameters.items() if str(array.dtype) in _STORED_AS}
    stored = {
        # Not `ascontiguousarray`, which makes a vector of a scalar.
        name: np.asarray(array.astype(_STORED_AS[special[name]]) if name in special else array, order="C")
        for name, array in parameters.items()
    }
    try:
        save_file(stored, path, metadata={_METADATA: json.dumps(special, sort_keys=True)})
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error


def read_weights(path: Path) -> dict[str, Array]:
    """Read what `write_weights` wrote. Raises `OSError`, and `ValueError` for a damaged file."""
    content = path.read_bytes()
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    special = json.loads(header.get("__metadata__", {}).get(_METADATA, "{}"))
    if not isinstance(special, dict) or not _STORED_AS.keys() >= set(special.values()):
        raise ValueError(f"its `{_METADATA}` are not those that corecast writes")
    arrays: dict[str, Array] = {}
    for name, tensor in tensors:
        array = np.frombuffer(tensor["data"], _dtype(_DTYPES[tensor["dtype"]])).reshape(tensor["shape"])
        arrays[name] = array.astype(_dtype(special[name])) if name in special else array
    return arrays


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))
