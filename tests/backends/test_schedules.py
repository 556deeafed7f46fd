"""Schedule families: what a kernel tells them, what they are held to, and the blocked convolutions for CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.ir import IRModule

from corecast.backends import Workload, tvm_target, workloads
from corecast.backends.pipeline import fused, grouped, legalized
from corecast.backends.schedules import (
    Emitted,
    Family,
    Knob,
    Knobs,
    ScheduleError,
    emitted,
    families,
    family_for,
    find,
    find_family,
    placed,
    points,
)
from corecast.backends.workloads import Scalar
from corecast.model import Target, find_target
from corecast.recipe import ExtensionError

Convolution = Callable[..., IRModule]
BLOCKED = "blocked_cpu"


@pytest.fixture(scope="session")
def convolution() -> Convolution:
    """A module with a convolution of `channels` to `kernels` channels over 2 images of 6 by 10, and what follows it."""

    def module(
        data: str = "NHWC",
        kernel: str = "HWIO",
        *,
        channels: int = 8,
        kernels: int = 32,
        dtype: str = "float32",
        window: int = 3,
        stride: int = 1,
        groups: int = 1,
        after: Callable[[relax.BlockBuilder, relax.Var, relax.Var], relax.Var] | None = None,
    ) -> IRModule:
        sums = "int32" if dtype == "int8" else dtype
        sizes = {"N": 2, "H": 6, "W": 10, "C": channels}
        x = relax.Var("x", relax.TensorType([sizes[axis] for axis in data], dtype))
        window_sizes = {"H": window, "W": window, "I": channels // groups, "O": kernels}
        w = relax.Var("w", relax.TensorType([window_sizes[axis] for axis in kernel], dtype))
        bias = relax.Var("b", relax.TensorType([kernels if axis == "C" else 1 for axis in data], sums))
        builder = relax.BlockBuilder()
        with builder.function("main", [x, w, bias]):
            with builder.dataflow():
                convolve = relax.op.nn.conv2d(x, w, stride, window // 2, 1, groups, data, kernel, data, out_dtype=sums)
                result = builder.emit(convolve, "n1")
                if after is not None:
                    result = after(builder, result, bias)
                output = builder.emit_output(result)
            builder.emit_func_output(output)
        return builder.get()

    return module


def bias_relu_residual(builder: relax.BlockBuilder, result: relax.Var, bias: relax.Var) -> relax.Var:
    """Adds the bias, cuts at zero, adds the sum itself, and cuts again."""
    added = builder.emit(relax.op.nn.relu(builder.emit(relax.op.add(result, bias))))
    return builder.emit(relax.op.clip(builder.emit(relax.op.multiply(added, bias)), 0, 60))


def only(module: IRModule, target: Target) -> Workload:
    (workload,) = workloads(module, legalized(module, target)).values()
    return workload


def run(module: IRModule, code: Mapping[str, Emitted], target: Target) -> np.ndarray:
    """What a module computes with this code in place of its kernels, on seeded operands."""
    random = np.random.default_rng(0)
    operands = []
    for var in module["main"].params:
        shape, dtype = [int(size) for size in var.ty.shape.values], str(var.ty.dtype)
        whole = dtype in ("int8", "int32")
        operands.append(random.integers(-90, 90, shape) if whole else random.standard_normal(shape))
        operands[-1] = operands[-1].astype(dtype)
    chip = tvm_target(target)
    compiled = tvm.compile(placed(fused(grouped(legalized(module, target))), code, chip), chip)
    machine = relax.VirtualMachine(compiled, tvm.cpu())
    return machine["main"](*map(tvm.runtime.tensor, operands)).numpy()


class Copies(Family):
    """Has for every kernel what TVM made of it, and a knob that does nothing."""

    name: ClassVar[str] = "copies"

    def refuses(self, _workload: Workload, _target: Target) -> str | None:
        return None

    def space(self, _workload: Workload, _target: Target) -> Mapping[str, Sequence[Knob]]:
        return {"side": ["left", "right"], "depth": [1, 2]}

    def objection(self, _workload: Workload, _target: Target, knobs: Knobs) -> str | None:
        return "2 is too deep on the right" if (knobs["side"], knobs["depth"]) == ("right", 2) else None

    def first_guess(self, _workload: Workload, _target: Target) -> Knobs:
        return {"side": "left", "depth": 1}

    def emit(self, workload: Workload, _target: Target, _knobs: Knobs) -> tirx.PrimFunc:
        return workload.function


class CopiesApart(Copies):
    """The same, as functions that are compiled apart."""

    calling = "apart"


# ── what a kernel tells ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kernel_says_which_operators_it_computes(convolution: Convolution, cpu: Target):
    """Fused loops alone do not; an operand is a value of the kernel, or a number in it."""
    workload = only(convolution("HWNC", "HWOI", stride=2, after=bias_relu_residual), cpu)
    assert str(workload) == (
        "%0 = float32 6x10x2x8; %1 = float32 3x3x32x8; %2 = float32 1x1x1x32; "
        "%3 = nn.conv2d(%0, %1) -> float32 3x5x2x32; %4 = add(%3, %2) -> float32 3x5x2x32; "
        "%5 = nn.relu(%4) -> float32 3x5x2x32; %6 = multiply(%5, %2) -> float32 3x5x2x32; "
        "%7 = clip(%6, 0, 60) -> float32 3x5x2x32"
    )
    attributes = workload.steps[0].attributes
    assert (attributes["strides"], attributes["padding"], attributes["groups"]) == ((2, 2), (1, 1, 1, 1), 1)
    assert (attributes["data_layout"], attributes["kernel_layout"]) == ("HWNC", "HWOI")
    assert workload.steps[-1].operands == (6, Scalar(0), Scalar(60))
    assert workload.value(3) == workload.steps[0].result


def test_kernels_of_layers_that_share_them_are_told_once(four_convolutions: IRModule, cpu: Target):
    """Their names are those of the built module."""
    found = workloads(four_convolutions, legalized(four_convolutions, cpu))
    assert {name: [step.op for step in workload.steps] for name, workload in found.items()} == {
        "fused_conv2d_add_relu": ["nn.conv2d", "add", "nn.relu"],
        "fused_conv2d_add_add1_relu": ["nn.conv2d", "add", "add", "nn.relu"],
        "conv2d": ["nn.conv2d"],
    }


# ── what a family is held to ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"side": "left"}, "`depth` is missing"),
        ({"side": "left", "depth": 1, "width": 3}, "it has no knob `width`"),
        ({"side": "up", "depth": True}, "`depth` may be 1, 2, not True; `side` may be left, right, not up"),
        ({"side": "right", "depth": 2}, "2 is too deep on the right"),
    ],
)
def test_knobs_outside_its_space_are_refused(convolution: Convolution, cpu: Target, knobs: Knobs, message: str):
    """Records come from files, and a family never sees knobs that it did not declare."""
    with pytest.raises(ScheduleError) as caught:
        emitted(Copies(), only(convolution(), cpu), cpu, knobs)
    assert message in str(caught.value)


def test_points_are_all_knobs_that_it_does_not_object_to(convolution: Convolution, cpu: Target):
    """The order is that of the space."""
    found = list(points(Copies(), only(convolution(), cpu), cpu))
    assert found == [{"side": "left", "depth": 1}, {"side": "left", "depth": 2}, {"side": "right", "depth": 1}]


@pytest.mark.parametrize("family", [Copies(), CopiesApart()], ids=["inside", "apart"])
def test_code_inside_and_apart_is_called_by_the_module(convolution: Convolution, cpu: Target, family: Family):
    """Whole functions with host code of their own cannot be kernels of Relax: they are external functions."""
    module = convolution(after=bias_relu_residual)
    workload = only(module, cpu)
    code = {workload.name: emitted(family, workload, cpu, family.first_guess(workload, cpu))}
    np.testing.assert_array_equal(run(module, code, cpu), run(module, {}, cpu))
    chip = tvm_target(cpu)
    text = placed(fused(grouped(legalized(module, cpu))), code, chip)["main"].script()
    assert ("call_dps_packed" in text) == (family.calling == "apart")


def test_a_family_of_another_distribution_comes_first(monkeypatch: pytest.MonkeyPatch):
    """Who installs one wants it; a name that has two owners is an error that names both."""

    def also(name: str, value: str) -> None:
        monkeypatch.setattr(find, "installed", lambda _: [("acme 1.0", EntryPoint(name, value, find.GROUP))])
        families.cache_clear()

    try:
        also("copies", f"{__name__}:Copies")
        load = EntryPoint.load
        monkeypatch.setattr(EntryPoint, "load", lambda point: Copies if point.name == "copies" else load(point))
        assert [family.name for family in families()] == ["copies", BLOCKED, "hwnc_sm90"]
        also(BLOCKED, f"{__name__}:Copies")
        with pytest.raises(ExtensionError, match=r"comes with two distributions: acme 1\.0 and corecast"):
            families()
        also("other", f"{__name__}:Copies")
        with pytest.raises(ExtensionError, match="is no schedule family called `other`"):
            families()
    finally:
        families.cache_clear()


def test_an_unknown_family_is_an_error_that_lists_known_ones():
    """A record may name one that is no longer installed."""
    with pytest.raises(ScheduleError, match="there is no schedule family `hwnc_sm12`"):
        find_family("hwnc_sm12")


# ── blocked convolutions for CPUs ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "kernel", "options"),
    [
        ("NHWC", "HWIO", {"after": bias_relu_residual}),
        ("HWNC", "HWOI", {"after": bias_relu_residual, "stride": 2}),
        ("NHWC", "OHWI", {"window": 1}),
        ("HWNC", "HWIO", {"dtype": "int8", "after": bias_relu_residual}),
    ],
)
def test_blocked_convolutions_compute_what_tvms_loops_compute(
    convolution: Convolution, cpu: Target, data: str, kernel: str, options: Mapping[str, object]
):
    """With the first guess, and with every third of all other knobs; integers exactly."""
    module = convolution(data, kernel, **options)
    workload, family = only(module, cpu), find_family(BLOCKED)
    expected = run(module, {}, cpu)
    for knobs in [family.first_guess(workload, cpu), *list(points(family, workload, cpu))[::3]]:
        found = run(module, {workload.name: emitted(family, workload, cpu, knobs)}, cpu)
        if found.dtype == np.int32:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=str(knobs))


@pytest.mark.parametrize(
    ("data", "kernel", "options", "reason"),
    [
        ("NCHW", "OIHW", {}, "its channels do not lie innermost in NCHW"),
        ("NHWC", "HWIO", {"groups": 2}, "it has 2 groups"),
        ("NHWC", "HWIO", {"kernels": 17}, "17 output channels are no multiple of"),
        ("NHWC", "HWIO", {"dtype": "float16"}, "it is for float32 and int8, not float16 with float16"),
    ],
)
def test_what_it_does_not_take_it_refuses_with_a_reason(
    convolution: Convolution, cpu: Target, data: str, kernel: str, options: Mapping[str, object], reason: str
):
    """MetaSchedule then takes the kernel, and the report has the reason."""
    found = family_for(only(convolution(data, kernel, **options), cpu), cpu)
    assert isinstance(found, str)
    assert f"{BLOCKED}: {reason}" in found


def test_it_refuses_targets_that_are_no_cpus(convolution: Convolution, cpu: Target):
    """Its loops are for vector registers."""
    workload = only(convolution(), cpu)
    assert family_for(workload, cpu) is find_family(BLOCKED)
    assert find_family(BLOCKED).refuses(workload, find_target("cuda:sm_80")) == "it is for CPUs"


def test_its_first_guess_fills_the_registers_and_packs_where_it_must(convolution: Convolution, cpu: Target):
    """It is analytic: no measurement is made."""
    family = find_family(BLOCKED)
    plain, turned = (only(convolution("NHWC", kernel), cpu) for kernel in ("HWIO", "HWOI"))
    guess = family.first_guess(plain, cpu)
    assert int(guess["columns"]) * int(guess["vectors"]) >= 10
    assert (guess["pack"], family.first_guess(turned, cpu)["pack"]) == (False, True)


def test_the_first_guess_is_several_times_as_fast_as_tvms_loops(convolution: Convolution, cpu: Target):
    """Measured 100 times on real layers; 3 is asked for, as machines and loads differ."""
    module = convolution("NHWC", "HWIO", channels=64, kernels=64)
    workload, family, chip = only(module, cpu), find_family(BLOCKED), tvm_target(cpu)
    operands = [tvm.runtime.tensor(np.ones(tensor.shape, tensor.dtype)) for tensor in workload.arguments]
    operands.append(tvm.runtime.tensor(np.zeros(workload.steps[-1].result.shape, "float32")))

    def seconds(module: IRModule) -> float:
        code = tvm.tirx.build(module, target=chip)
        return float(code.time_evaluator("main", tvm.cpu(), number=1, repeat=7)(*operands).min)

    ours = emitted(family, workload, cpu, family.first_guess(workload, cpu)).module
    plain = IRModule({"main": workload.function.with_attr("global_symbol", "main")})
    assert seconds(ours) * 3 < seconds(plain)
