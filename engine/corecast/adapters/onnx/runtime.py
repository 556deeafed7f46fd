"""A model in, a function from named inputs to outputs out: ONNX Runtime runs it, or ONNX's reference where it is small.

ONNX Runtime is the extra `corecast[onnxruntime]`. Its optimizations are off: what is checked is the model, and not what
a runtime makes of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnx.reference import ReferenceEvaluator

from corecast.adapters.onnx.emulate import with_plain_doors
from corecast.adapters.onnx.model import Array, Model
from corecast.adapters.onnx.survey import survey
from corecast.adapters.onnx.tensors import numpy_dtype
from corecast.adapters.onnx.write import save
from corecast.adapters.proof import CannotRunError, Run
from corecast.adapters.source import last_line
from corecast.lang.problems import Problem

# ONNX's reference is numpy, with loops in Python where numpy has no word: some seconds for so much.
MOST_FLOPS_OF_THE_REFERENCE = 2 * 10**8


def runner(model: Model) -> Run:
    """Make a model ready to run; it takes its inputs by name and gives its outputs in order.

    Raises `CannotRunError`, when it is called too: where ONNX Runtime is missing and the model is large, or where one
    of its operators has no kernel.
    """
    if find_spec("onnxruntime"):
        return _in_onnxruntime(model)
    if sum(layer.flops or 0 for layer in survey(model).layers) > MOST_FLOPS_OF_THE_REFERENCE:
        message = f"{model.name} is too large for ONNX's reference implementation, and ONNX Runtime is not installed"
        raise CannotRunError(Problem("no-runtime", message, help="pip install 'corecast[onnxruntime]'"))
    return _runs(model, ReferenceEvaluator)


def optimized(model: Model, threads: int) -> Run:
    """The same in ONNX Runtime with all that it makes of a model, to be timed. Raises `CannotRunError`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    cpu = ["CPUExecutionProvider"]
    return _runs(model, lambda path: onnxruntime.InferenceSession(path, options, providers=cpu))


def _in_onnxruntime(model: Model) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what it cannot do comes as an exception
    cpu = ["CPUExecutionProvider"]
    plain = with_plain_doors(model)
    run = _runs(plain, lambda path: onnxruntime.InferenceSession(path, options, providers=cpu))

    def carried(inputs: Mapping[str, Array]) -> Sequence[Array]:
        doors = zip(model.inputs, plain.inputs.items(), strict=True)
        outputs = run({door: inputs[name].astype(numpy_dtype(kind.dtype)) for name, (door, kind) in doors})
        given = (numpy_dtype(model.types[name].dtype) for name in model.outputs)
        return [array.astype(dtype) for array, dtype in zip(outputs, given, strict=True)]

    return carried


def _runs(model: Model, load: Callable[[str], Any]) -> Run:
    """A function that runs what `load` makes of a file; both runtimes take a `run(None, inputs)`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        save(model, path)
        try:
            loaded = load(str(path))
        except Exception as error:  # of either runtime, in classes of its own
            raise _not_run(model, error) from error

    def run(inputs: Mapping[str, Array]) -> Sequence[Array]:
        try:
            outputs: Sequence[Array] = loaded.run(None, dict(inputs))
        except Exception as error:
            raise _not_run(model, error) from error
        return outputs

    return run


def _not_run(model: Model, error: Exception) -> CannotRunError:
    return CannotRunError(Problem("cannot-run", f"{model.name} does not run here: {last_line(error)}"))
