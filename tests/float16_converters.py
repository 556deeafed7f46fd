"""One ONNX model through Corecast's casts and through onnxconverter-common's: how many casts, valid, runs, how far off.

Both are told the same: which operators compute in float16, by a recipe here and by a block list there; inputs and
outputs keep their dtypes. The errors are those of a machine that rounds after each node (`emulate`), before a trailing
softmax, which would hide them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import onnx
import onnxruntime
from onnx import ModelProto
from onnxconverter_common import float16

from corecast.adapters.onnx import Model, apply, load, runner, survey
from corecast.adapters.onnx.emulate import emulate
from corecast.adapters.onnx.softmax import before_softmax
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import plan
from corecast.verify import difference, inputs_for

SEEDS = range(5)

# What stays in float32: the converter's own list alone, that and what normalises, and all that multiplies no matrices.
EVERYTHING = frozenset(float16.DEFAULT_OP_BLOCK_LIST)
NORMS = frozenset(
    """
    BatchNormalization Div Erf Exp GroupNormalization InstanceNormalization LRN LayerNormalization LogSoftmax Pow
    RMSNormalization Reciprocal ReduceMean ReduceSum Softmax Sqrt
    """.split()
)
PRODUCTS = frozenset("Conv ConvTranspose Gemm MatMul".split())


def block_lists(proto: ModelProto) -> dict[str, frozenset[str]]:
    """The block lists that are compared, by what they leave to float16."""
    # With `Cast` in its list the converter has no end: it casts before each cast that it has put in.
    others = {node.op_type for node in proto.graph.node} - PRODUCTS - {"Cast"}
    return {"all": EVERYTHING, "all but norms": EVERYTHING | NORMS, "products": EVERYTHING | others}


@dataclass(frozen=True)
class Converted:
    """What a converter made of a model.

    `largest` is the largest difference relative to the largest value, `rms` the norm of the difference relative to the
    norm of the values: medians over `SEEDS`, None where the model is not valid or does not run.
    """

    casts: int
    invalid: str | None
    stopped: str | None
    largest: float | None
    rms: float | None


def ours(original: Model, blocked: Iterable[str]) -> Converted:
    """By a recipe that names every operator that the list does not."""
    table = survey(original)
    types = {node.name: node.op_type for node in original.proto.graph.node}
    kept = {layer.op for layer in table.layers if types[layer.source or ""] in blocked}
    cast = {layer.op for layer in table.layers} - kept
    # By their names, not by a star: the converter casts softmax and norms too. The operator `where` is called as a word
    # of the language is.
    named = (op if op != "where" else '(* where op == "where")' for op in sorted(cast))
    recipe = read_recipe(Source("float16.rules", f"match {' or '.join(named)}\n  cast float16\n"), table)
    return _measured(original, apply(plan(recipe, table), original).converted.proto)


def theirs(original: Model, blocked: Iterable[str]) -> Converted:
    """By the converter with its block list."""
    copy = ModelProto()
    copy.CopyFrom(original.proto)
    made = float16.convert_float_to_float16(copy, keep_io_types=True, op_block_list=[*blocked])
    return _measured(original, made)


def model_of(path: Path, weights: str | None = None) -> Model:
    """A model with all of its weights in memory, in an IR version that does not list them among its inputs.

    The converter would cast each of those at run time.
    """
    proto = load(onnx.load(path), weights=weights).proto
    proto.ir_version = max(proto.ir_version, 4)
    named = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in named]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    return load(proto)


def _measured(original: Model, made: ModelProto) -> Converted:
    casts = _casts(made) - _casts(original.proto)
    invalid = stopped = largest = rms = None
    try:
        onnx.checker.check_model(made, full_check=True)
    except onnx.checker.ValidationError as problem:
        invalid = str(problem).strip()
    except onnx.shape_inference.InferenceError as problem:
        invalid = str(problem).strip()
    table = survey(original)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        session.run(None, inputs_for(table, 0))
    except Exception as problem:  # of ONNX Runtime, in classes of its own
        stopped = str(problem).strip()
    if not invalid and not stopped:
        runs = [runner(emulate(before_softmax(model) or model)) for model in (original, load(made))]
        inputs = [inputs_for(table, seed) for seed in SEEDS]
        found = [difference(*(run(values) for run in runs)) for values in inputs]
        largest = median(item.max_relative for item in found)
        rms = median(10 ** (-item.snr_db / 20) for item in found)
    return Converted(casts, invalid, stopped, largest, rms)


def _casts(proto: ModelProto) -> int:
    return sum(node.op_type == "Cast" for node in proto.graph.node)
