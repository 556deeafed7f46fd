"""Compiling and running on this CPU, and what is refused before it would crash."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import IRModule

from corecast.backends import BuildError, RunError, Runner, build, host, pipeline, unrunnable
from corecast.model import Target, find_target


def test_a_built_module_computes_what_tvms_own_build_computes(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target
):
    """Fusing first changes no number beyond rounding."""
    x = np.random.default_rng(1).standard_normal((1, 8, 6, 6)).astype(np.float32)
    (ours,) = Runner(build(four_convolutions, cpu), weights)(x)
    machine = relax.VirtualMachine(tvm.compile(four_convolutions, "llvm"), tvm.cpu())
    theirs = machine["main"](*map(tvm.runtime.tensor, (x, *weights.values()))).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_a_runner_is_loaded_once_and_runs_and_times_often(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target
):
    """Parameters are given by name; what is left over are the inputs."""
    runner = Runner(build(four_convolutions, cpu), weights)
    x = np.ones((1, 8, 6, 6), np.float32)
    assert [var.name for var in runner.inputs] == ["x"]
    np.testing.assert_array_equal(runner(x)[0], runner(x)[0])
    assert 0 < runner.seconds(x, repeats=3) < 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "0 inputs were given, and the model takes x"),
        ([np.zeros((2, 8, 6, 6), np.float32)], r"a float32 array of \(2, 8, 6, 6\) was given"),
        ([np.zeros((1, 8, 6, 6))], "a float64 array"),
    ],
)
def test_inputs_that_do_not_fit_are_an_error_that_says_how(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target, inputs: list[np.ndarray], message: str
):
    """Number, shape and dtype are checked before TVM sees the arrays."""
    with pytest.raises(RunError, match=message):
        Runner(build(four_convolutions, cpu), weights)(*inputs)


def test_a_scalar_parameter_stays_a_scalar(cpu: Target):
    """A bound or a scale without axes: a vector of one element does not fit."""
    x, scale = (relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in (("x", (3,)), ("scale", ())))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, scale]):
        builder.emit_func_output(builder.emit(relax.op.multiply(x, scale)))
    runner = Runner(build(builder.get(), cpu), {"scale": np.array(2, np.float32)})
    np.testing.assert_array_equal(runner(np.arange(3, dtype=np.float32))[0], [0, 2, 4])


def test_a_parameter_that_the_module_does_not_take_is_an_error(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target
):
    """Weights of another model do not pass for inputs."""
    with pytest.raises(RunError, match="takes no w9"):
        Runner(build(four_convolutions, cpu), weights | {"w9": weights["w0"]})


@pytest.mark.parametrize("dtype", ["int4", "uint4", "float8_e4m3fn", "float8_e5m2"])
def test_a_dtype_that_the_cpu_cannot_run_is_refused_with_its_layer(
    cast_convolution: Callable[..., IRModule], cpu: Target, dtype: str
):
    """These compile, and then abort the process or give wrong numbers."""
    problem = unrunnable(cast_convolution(dtype), cpu)
    assert problem is not None
    assert problem.slug == "cannot-run-here"
    assert problem.message.startswith(f"`n1` is in {dtype}, which llvm cannot run: ")
    with pytest.raises(BuildError, match="cannot-run-here"):
        build(cast_convolution(dtype), cpu)


@pytest.mark.parametrize("dtype", ["int8", "float16", "bfloat16"])
def test_narrow_dtypes_that_the_cpu_can_run_do_run(cast_convolution: Callable[..., IRModule], cpu: Target, dtype: str):
    """Small whole numbers come out exactly in each of them."""
    random = np.random.default_rng(2)
    x = random.integers(-3, 4, (1, 8, 6, 6)).astype(np.float32)
    kernel = random.integers(-3, 4, (8, 8, 3, 3)).astype(np.float32)
    (narrow,) = Runner(build(cast_convolution(dtype), cpu), {"w": kernel})(x)
    (wide,) = Runner(build(cast_convolution("float64"), cpu), {"w": kernel})(x)
    np.testing.assert_array_equal(narrow, wide)


@pytest.mark.parametrize(
    ("found", "slug", "message"),
    [
        (None, "no-device", "TVM finds no CUDA device here, and cuda:sm_90a needs one"),
        ("sm_80", "cannot-run-here", "is of sm_80, and code for cuda:sm_90a does not run on it"),
    ],
)
def test_a_gpu_that_is_not_here_is_refused(
    four_convolutions: IRModule, monkeypatch: pytest.MonkeyPatch, found: str | None, slug: str, message: str
):
    """Code for it can be built all the same; to run it is to be told what is missing."""
    monkeypatch.setattr(pipeline, "device_arch", lambda: found)
    with pytest.raises(BuildError, match=message) as caught:
        build(four_convolutions, find_target("cuda:sm_90a"))
    assert caught.value.problems[0].slug == slug


def test_a_cpu_that_this_machine_is_not_is_refused(four_convolutions: IRModule, monkeypatch: pytest.MonkeyPatch):
    """Running its code would end the process on the first unknown instruction."""
    monkeypatch.setattr(host, "host_flags", lambda: frozenset(find_target("llvm:x86-64-v3").features))
    with pytest.raises(BuildError, match="no x86-64-v4: it lacks avx512f"):
        build(four_convolutions, find_target("llvm:x86-64-v4"))
