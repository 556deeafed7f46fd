"""A folder of `.npy` and `.npz` files in, their arrays out; what these are like is known before any is read."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from corecast.lang.problems import CorecastError, Problem
from corecast.model import TensorType

Array: TypeAlias = NDArray[np.generic]

SUFFIXES = (".npy", ".npz")

# What reading a file that is damaged, or of a kind that numpy does not read, raises: a password is a RuntimeError.
BROKEN = (OSError, ValueError, EOFError, BadZipFile, RuntimeError, zlib.error)


class DataError(CorecastError):
    """Data that a model cannot be calibrated on: none, unreadable, of another name, shape or dtype, no numbers."""


def files_in(path: Path) -> list[Path]:
    """The files of arrays in a folder, by name; a file stands for itself. Raises `DataError` where there are none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(Problem("no-data", "there is no such folder", place=str(path)))
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    if not files:
        help = "write each batch or sample with `numpy.save`, or with `numpy.savez` under the names of the inputs"
        raise DataError(Problem("no-data", "the folder has no .npy and no .npz file", help=help, place=str(path)))
    return files


def read_types(path: Path) -> TensorType | dict[str, TensorType]:
    """What the arrays of a file are, without their values. Raises `DataError`."""
    try:
        if path.suffix == ".npy":
            with path.open("rb") as file:
                return _type_in(file)
        found = {}
        with ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    found[name.removesuffix(".npy")] = _type_in(member)
        return found
    except BROKEN as error:
        raise _unreadable(path, error) from error


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """The arrays of a file; the one of a `.npy` file stays on disk until it is used. Raises `DataError`."""
    try:
        if path.suffix == ".npy":
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
            return array
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except BROKEN as error:
        raise _unreadable(path, error) from error


def _type_in(file: Any) -> TensorType:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return TensorType(dtype=str(dtype), shape=shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    help = "write it with `numpy.save` or `numpy.savez`, plain arrays without Python objects"
    return DataError(Problem("bad-data", f"this is no file of arrays: {reason}", help=help, place=str(path)))
