"""What the tests of targets, tuning and building share: a network of four small convolutions, and its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from corecast.model import Target, find_target

SHAPE, KERNEL, BIAS = (1, 8, 6, 6), (8, 8, 3, 3), (1, 8, 1, 1)


@pytest.fixture(scope="session")
def cpu() -> Target:
    return find_target("llvm")


@pytest.fixture(scope="session")
def four_convolutions() -> IRModule:
    """Layers n1, n4, n7 and n11, the same convolution each time.

    The first two go through a bias and a relu, n7 also adds the input of n4, and n11 has nothing behind it.
    """
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(SHAPE, "float32"))
    kernels = [relax.Var(f"w{number}", relax.TensorType(KERNEL, "float32")) for number in range(4)]
    biases = [relax.Var(f"b{number}", relax.TensorType(BIAS, "float32")) for number in range(3)]

    def convolution(data: relax.Var, number: int, name: str) -> relax.Var:
        return builder.emit(relax.op.nn.conv2d(data, kernels[number], padding=1), name)

    with builder.function("main", [x, *kernels, *biases]):
        with builder.dataflow():
            n2 = builder.emit(relax.op.add(convolution(x, 0, "n1"), biases[0]), "n2")
            n3 = builder.emit(relax.op.nn.relu(n2), "n3")
            n5 = builder.emit(relax.op.add(convolution(n3, 1, "n4"), biases[1]), "n5")
            n6 = builder.emit(relax.op.nn.relu(n5), "n6")
            n8 = builder.emit(relax.op.add(convolution(n6, 2, "n7"), biases[2]), "n8")
            n9 = builder.emit(relax.op.add(n8, n3), "n9")
            n10 = builder.emit(relax.op.nn.relu(n9), "n10")
            out = builder.emit_output(convolution(n10, 3, "n11"))
        builder.emit_func_output(out)
    return builder.get()


@pytest.fixture(scope="session")
def weights(four_convolutions: IRModule) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        var.name: random.standard_normal([int(size) for size in var.ty.shape.values]).astype(np.float32)
        for var in four_convolutions["main"].params[1:]
    }


@pytest.fixture(scope="session")
def cast_convolution() -> Callable[[str], IRModule]:
    """A module with one convolution, layer n1, whose operands are cast to a dtype."""

    def module(dtype: str, shape: Sequence[object] = SHAPE, weights: Sequence[int] = KERNEL) -> IRModule:
        builder = relax.BlockBuilder()
        x = relax.Var("x", relax.TensorType(shape, "float32"))
        kernel = relax.Var("w", relax.TensorType(weights, "float32"))
        with builder.function("main", [x, kernel]):
            with builder.dataflow():
                data = builder.emit(relax.op.astype(x, dtype))
                weight = builder.emit(relax.op.astype(kernel, dtype))
                out_dtype = "int32" if "int" in dtype else "float32"
                n1 = builder.emit(relax.op.nn.conv2d(data, weight, padding=1, out_dtype=out_dtype), "n1")
                out = builder.emit_output(relax.op.astype(n1, "float32"))
            builder.emit_func_output(out)
        return builder.get()

    return module
