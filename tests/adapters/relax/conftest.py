"""What the adapter's tests share: weights for a module written in TVMScript, and running a model on this CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from onnx import parser
from tvm import relax
from tvm.ir import IRModule

from corecast.adapters.relax import Model, survey

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def random_arrays(variables: tuple[relax.Var, ...], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {var.name: [int(size) for size in var.ty.shape.values] for var in variables}
    dtypes = {var.name: str(var.ty.dtype) for var in variables}
    # About one, so that the same values also do for variances.
    return {name: random.uniform(0.5, 1.5, shape).astype(dtypes[name]) for name, shape in shapes.items()}


@pytest.fixture
def weighted() -> Callable[[IRModule], Model]:
    """Give the parameters of a module seeded values; its attribute `num_input` says which arguments are inputs."""

    def model(module: IRModule) -> Model:
        count = int(module["main"].attrs["num_input"])
        return Model(module, random_arrays(tuple(module["main"].params[count:]), 1), "test")

    return model


def outputs(model: Model) -> list[np.ndarray]:
    executable = tvm.compile(model.module, "llvm")
    arrays = [*random_arrays(model.inputs, 2).values(), *model.parameters.values()]
    result = relax.VirtualMachine(executable, tvm.cpu())["main"](*map(tvm.runtime.tensor, arrays))
    return [result.numpy()] if isinstance(result, tvm.runtime.Tensor) else [item.numpy() for item in result]


@pytest.fixture
def assert_agree() -> Callable[..., None]:
    """Both models give the same outputs on the same seeded inputs, relative to the largest one."""

    def check(left: Model, right: Model, tolerance: float = 1e-5) -> None:
        for expected, found in zip(outputs(left), outputs(right), strict=True):
            assert expected.std() > 0, "a constant output proves nothing"
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * float(np.abs(expected).max()))

    return check


@pytest.fixture
def ops() -> Callable[[Model], list[str]]:
    """The operators of a model in order."""
    return lambda model: [layer.op for layer in survey(model).layers]


@pytest.fixture
def onnx_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write an ONNX model given as text to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "model.onnx"
        onnx.save(parser.parse_model(text), str(path))
        return path

    return write


@pytest.fixture(scope="session")
def light() -> Callable[[str], Path]:
    """The path of one of the models that the onnx package ships."""
    return lambda name: LIGHT / f"light_{name}.onnx"
