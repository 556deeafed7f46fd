"""Measures the original's HWNC int8 tensor-core template on the layers of ResNet-18 that PR #6121 gave times for.

Run it with a Python whose `tvm` has Relay and AutoTVM, on a machine with an NVIDIA GPU and nvcc:

    python docs/relay_hwnc_template.py --configs 60 --out times.json

For each layer some schedules of the template's space are compiled and timed: the first, which is what an untuned build
gets nearest to, and random ones. The best one's answer is compared with numpy's. `--compile-only` needs no GPU: it
stops at the CUDA source, which shows that this TVM can write the template for an architecture.
"""

from __future__ import annotations

import argparse
import json
import random
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tvm
from tvm import autotvm, topi
from tvm.contrib import nvcc

TEMPLATE = "conv2d_HWNCnc_tensorcore.cuda"

# What a block may have; a schedule beyond it would fail at its launch, and may take the CUDA context with it.
LIMITS = {"max_shared_memory_per_block": 48 * 1024, "max_threads_per_block": 1024}


@dataclass(frozen=True)
class Layer:
    """A convolution of the table in PR #6121, by its columns."""

    batch: int
    inputs: int
    size: int
    outputs: int
    kernel: int
    stride: int
    padding: int

    @property
    def result(self) -> int:
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def operations(self) -> int:
        return 2 * self.batch * self.outputs * self.result**2 * self.inputs * self.kernel**2


LAYERS = [
    Layer(8, 64, 56, 64, 3, 1, 1),
    Layer(8, 64, 56, 128, 3, 2, 1),
    Layer(8, 64, 56, 64, 1, 2, 0),
    Layer(8, 128, 28, 128, 3, 1, 1),
    Layer(8, 128, 28, 256, 3, 2, 1),
    Layer(8, 128, 28, 256, 1, 2, 0),
    Layer(8, 256, 14, 256, 3, 1, 1),
    Layer(8, 256, 14, 512, 3, 2, 1),
    Layer(8, 256, 14, 512, 1, 2, 0),
    Layer(8, 512, 7, 512, 3, 1, 1),
]


def task_of(layer: Layer, target: tvm.target.Target) -> Any:
    """The template with the kernel packed ahead (HWOI32o16i), as a deployed model has it."""
    data = (layer.size, layer.size, layer.batch, layer.inputs)
    kernel = (layer.kernel, layer.kernel, layer.outputs // 32, layer.inputs // 16, 32, 16)
    tensors = [("TENSOR", shape, "int8") for shape in (data, kernel)]
    how = [(layer.stride,) * 2, (layer.padding,) * 4, (1, 1), "int32"]
    return autotvm.task.create(TEMPLATE, args=(*tensors, *how), target=target)


def compiled(task: Any, target: tvm.target.Target, config: Any) -> Any:
    """A schedule as a module. Raises what TVM raises: many schedules of the space do not exist."""
    with target:
        schedule, arguments = task.instantiate(config)
        if not config.valid():
            raise ValueError("; ".join(config.errors))
        lowered = tvm.lower(schedule, arguments, name="convolution")
        if not all(tvm.tir.analysis.verify_gpu_code(function, LIMITS) for function in lowered.functions.values()):
            raise ValueError("too many threads or too much shared memory for a block")
        return tvm.build(lowered, target=target)


def microseconds(module: Any, arrays: list[Any], device: Any) -> float:
    module["convolution"](*arrays)  # faults show here, before anything is timed
    device.sync()
    evaluator = module.time_evaluator("convolution", device, number=50, repeat=5, min_repeat_ms=20)
    return float(np.median(evaluator(*arrays).results)) * 1e6


def operands(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Data in HWNC and kernel in HWOI, small whole numbers."""
    generator = np.random.default_rng(0)
    data = (layer.size, layer.size, layer.batch, layer.inputs)
    kernel = (layer.kernel, layer.kernel, layer.outputs, layer.inputs)
    return tuple(generator.integers(-8, 8, shape).astype("int8") for shape in (data, kernel))


def packed(kernel: np.ndarray) -> np.ndarray:
    height, width, outputs, inputs = kernel.shape
    return np.ascontiguousarray(
        kernel.reshape(height, width, outputs // 32, 32, inputs // 16, 16).transpose(0, 1, 2, 4, 3, 5)
    )


def reference(layer: Layer, data: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The convolution by numpy, in float64, which is exact for sums this small."""
    edge = (layer.padding,) * 2
    padded = np.pad(data.astype("float64"), (edge, edge, (0, 0), (0, 0)))
    result = np.zeros((layer.result, layer.result, layer.batch, layer.outputs))
    last = (layer.result - 1) * layer.stride + 1
    for row in range(layer.kernel):
        for column in range(layer.kernel):
            window = padded[row : row + last : layer.stride, column : column + last : layer.stride]
            result += window @ kernel[row, column].T.astype("float64")
    return result.astype("int32")


def measure(layer: Layer, count: int, target: tvm.target.Target, source_only: bool) -> dict[str, Any]:
    task = task_of(layer, target)
    space = task.config_space
    chosen = [0, *random.Random(0).sample(range(len(space)), count)]
    data, kernel = operands(layer)
    device = tvm.cuda()
    best: tuple[float, int] | None = None
    first: float | None = None
    failures: Counter[str] = Counter()
    if not source_only:
        shape = (layer.result, layer.result, layer.batch, layer.outputs)
        result = tvm.nd.array(np.zeros(shape, "int32"), device)
        arrays = [tvm.nd.array(data, device), tvm.nd.array(packed(kernel), device), result]
        expected = reference(layer, data, kernel)
    for index in chosen:
        try:
            module = compiled(task, target, space.get(index))
            if source_only:
                best = best or (0.0, index)
                continue
            time = microseconds(module, arrays, device)
            if not np.array_equal(result.numpy(), expected):
                raise ValueError("wrong answer")
        except (tvm.TVMError, ValueError, RuntimeError, AssertionError, IndexError) as error:
            failures[_short(error)] += 1
            continue
        first = time if index == 0 else first
        best = min(best or (time, index), (time, index))
    row = {"layer": asdict(layer), "tried": len(chosen), "failed": dict(failures), "first_us": first}
    if best and not source_only:
        row |= {"best_us": best[0], "best_config": str(space.get(best[1])), "tops": layer.operations / best[0] / 1e6}
    return row


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:100] if lines else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=60, help="random schedules for each layer")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--out", help="write the rows as JSON")
    parser.add_argument("--compile-only", action="store_true", help="lower the schedules and stop")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    assert topi.cuda.conv2d_hwnc_tensorcore, "this TVM has no HWNC template"
    target = tvm.target.Target(f"cuda -arch={options.arch}")
    if options.compile_only:
        # Nothing is loaded, so the text may stand for what nvcc would have made of it.
        tvm.register_func("tvm_callback_cuda_compile", lambda code, _: f"//{code}", override=True)
    else:
        assert nvcc.find_cuda_path(), "nvcc is needed"
    rows = []
    for layer in LAYERS:
        row = measure(layer, options.configs, target, options.compile_only)
        rows.append(row)
        print(layer, {key: value for key, value in row.items() if key not in ("layer", "best_config")}, flush=True)
        if options.out:
            with open(options.out, "w", encoding="utf-8") as file:
                json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
