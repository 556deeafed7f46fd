"""The encoder in float32 by PyTorch, and what a recipe makes of it by TVM; how near their embeddings are out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from corecast.adapters.relax import Model, apply, load, prepare, survey
from corecast.api import calibrate, plan, read_recipe
from corecast.backends import Runner, build
from corecast.lang import Source
from corecast.model import find_target
from sentences.encoder import OTHERS, SENTENCES, Inputs, save_program, tokens

# As many sentences are run together.
BATCH = 40

FLOAT16 = "use transformer"

# Behind the first two gelus 99 values in 100 are below 0.9, and the largest is 25; one scale does not do for both.
INT8 = """
use int8

match nn.dense #5 or nn.dense #11
  keep dtype
"""
METHOD = "mse"

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class Converted:
    """What a recipe made of the encoder.

    Attributes:
        cosines: of each sentence's embedding with that in float32.
        layers: how many products of matrices with weights compute in another dtype, and how many there are.
        megabytes: of the parameters.
    """

    cosines: NDArray[np.float64]
    layers: tuple[int, int]
    megabytes: float


@cache
def encoder() -> tuple[Model, Embeddings]:
    """The prepared model, and the embeddings of all sentences in float32 as PyTorch computes them."""
    import torch

    with TemporaryDirectory() as folder:
        path = Path(folder, "encoder.pt2")
        save_program(path, BATCH)
        program = torch.export.load(path).module()
        with torch.no_grad():
            batches = ({name: torch.from_numpy(ids) for name, ids in part.items()} for part in tokens(SENTENCES, BATCH))
            reference = [program(**batch).numpy() for batch in batches]
        return prepare(load(path)), np.concatenate(reference)


def converted(rules: str, method: str | None = None) -> Converted:
    """Convert as the rules say, calibrated on other sentences by a method where they quantize, and run by TVM."""
    model, reference = encoder()
    table = survey(model)
    decided = plan(read_recipe(Source("encoder.rules", rules), table), table)
    found = calibrate(decided, model, tokens(OTHERS, BATCH), method=method) if method else None
    conversion = apply(decided, model, found)
    parameters = conversion.converted.parameters
    runner = Runner(build(conversion.converted.module, find_target("llvm")), parameters)
    names = [str(var.name) for var in runner.inputs]
    answers = [runner(*(batch[name] for name in names))[0] for batch in tokens(SENTENCES, BATCH)]
    dense = conversion.after.by_op["nn.dense"]
    return Converted(
        _cosines(reference, np.concatenate(answers)),
        (sum(layer.operands[1].type.dtype != "float32" for layer in dense), len(dense)),
        sum(array.nbytes for array in parameters.values()) / 1e6,
    )


def _cosines(one: Embeddings, other: Embeddings) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def by_onnxruntime(*, results: bool) -> NDArray[np.float64]:
    """The cosines after ONNX Runtime's static quantization of the same layers on the same sentences.

    Products with weights, uint8 by int8, with weights by output channel and ranges that cover every value.

    Args:
        results: whether the results of the products become eight bits too, as they do by default.
    """
    import torch
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._parts = iter(tokens(OTHERS, BATCH))

        def get_next(self) -> Inputs | None:
            return next(self._parts, None)

    with TemporaryDirectory() as folder:
        program, exported, before, after = (
            Path(folder, name) for name in ("encoder.pt2", "encoder.onnx", "float.onnx", "int8.onnx")
        )
        save_program(program, BATCH)
        example = {name: torch.from_numpy(ids) for name, ids in tokens(SENTENCES[:BATCH], BATCH)[0].items()}
        torch.onnx.export(
            torch.export.load(program), kwargs=example, f=str(exported), dynamo=True, verbose=False, external_data=False
        )
        quant_pre_process(exported, before, skip_symbolic_shape=True)
        graph = onnx.load(before).graph
        weights = {weight.name for weight in graph.initializer}
        products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
        chosen = [node.name for node in products if node.input[1] in weights]
        assert len(chosen) == 36
        quantization.quantize_static(
            before,
            after,
            Batches(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_quantize=chosen,
            extra_options={} if results else {"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        )
        options = onnxruntime.SessionOptions()
        # As the operators are defined: its fast kernels saturate sums of two products where a CPU has no VNNI.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(after), options, providers=["CPUExecutionProvider"])
        answers = [session.run(None, batch)[0] for batch in tokens(SENTENCES, BATCH)]
    return _cosines(encoder()[1], np.concatenate(answers))
