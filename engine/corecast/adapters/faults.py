"""A reader of models in, the same reader out, whose errors name the file, and say whose fault they are.

What is wrong with a damaged ONNX file shows anywhere, as any exception of whoever meets it first. ONNX's own checker
then says whether it is the file; where it finds nothing, the fault is ours and stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from corecast.adapters.source import ModelError
from corecast.lang.problems import CorecastError

_Read = TypeVar("_Read", bound=Callable[..., Any])


def of_its_file(read: _Read) -> _Read:
    """Have a function whose first argument may be a path raise `ModelError` for what is wrong with the file there."""

    @wraps(read)
    def reading(source: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(source, str | Path):
            return read(source, *arguments, **options)
        try:
            return read(source, *arguments, **options)
        except CorecastError as error:
            raise error.within(str(source)) from error.__cause__
        except Exception as error:
            if reason := _damage(Path(source)):
                message = f"this is a damaged model: {reason}"
                raise ModelError.of("damaged-model", message, "export it again").within(str(source)) from error
            raise

    return cast(_Read, reading)


def _damage(path: Path) -> str | None:
    """What ONNX's checker finds wrong with a file, or None where it finds nothing, or where it is no ONNX file."""
    try:
        onnx.ModelProto().ParseFromString(path.read_bytes())  # `onnx.load` takes a .json file for a model in JSON
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return str(error).strip().splitlines()[0]
    except (OSError, ValueError, RuntimeError, DecodeError):
        return None
    return None
