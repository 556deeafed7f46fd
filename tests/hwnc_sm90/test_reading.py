"""What the family takes from a model, what it makes of it, and why it leaves the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tvm import relax
from tvm.ir import IRModule

from corecast.backends import Workload, workloads
from corecast.backends.pipeline import legalized
from corecast.backends.schedules import ScheduleError, checked, emitted, family_for, find_family
from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue
from corecast.backends.schedules.hwnc_sm90.reading import Kernel, read
from corecast.model import find_target

HOPPER = find_target("cuda:sm_90a")
After = Callable[[relax.BlockBuilder, Any, dict[str, Any]], Any]


def workload(
    after: After | None = None, *, dtype: str = "float16", channels: int = 64, data: str = "HWNC", groups: int = 1
) -> Workload:
    """A convolution of 3x3 on two images of 8x6 with stride 2, and what `after` puts behind it, as one kernel."""
    sums = "int32" if dtype == "int8" else dtype
    sizes = {"H": 8, "W": 6, "N": 2, "C": channels}
    made = {"H": 4, "W": 3, "N": 2, "C": 32}
    x = relax.Var("x", relax.TensorType([sizes[axis] for axis in data], dtype))
    w = relax.Var("w", relax.TensorType([3, 3, 32, channels // groups], dtype))
    more = {
        "bias": relax.Var("bias", relax.TensorType([32 if axis == "C" else 1 for axis in data], sums)),
        "scale": relax.Var("scale", relax.TensorType([32 if axis == "C" else 1 for axis in data], "float32")),
        "residual": relax.Var("residual", relax.TensorType([made[axis] for axis in data], sums)),
    }
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w, *more.values()]):
        with builder.dataflow():
            result = builder.emit(relax.op.nn.conv2d(x, w, 2, 1, 1, groups, data, "HWOI", data, out_dtype=sums), "n1")
            output = builder.emit_output(result if after is None else after(builder, result, more))
        builder.emit_func_output(output)
    module: IRModule = builder.get()
    (found,) = workloads(module, legalized(module, HOPPER)).values()
    return found


def bias_residual_relu(builder: relax.BlockBuilder, value: Any, more: dict[str, Any]) -> Any:
    value = builder.emit(relax.op.add(value, more["bias"]))
    value = builder.emit(relax.op.add(more["residual"], value))
    return builder.emit(relax.op.nn.relu(value))


def requantized(builder: relax.BlockBuilder, value: Any, more: dict[str, Any]) -> Any:
    """As quantized layers are written."""
    value = builder.emit(relax.op.add(value, more["bias"]))
    value = builder.emit(relax.op.astype(value, "float32"))
    value = builder.emit(relax.op.multiply(value, more["scale"]))
    value = builder.emit(relax.op.round(value))
    value = builder.emit(relax.op.clip(value, -128, 127))
    value = builder.emit(relax.op.astype(value, "int8"))
    return builder.emit(relax.op.nn.relu(value))


def test_bias_residual_and_relu_are_its_epilogue() -> None:
    found = read(workload(bias_residual_relu))
    assert isinstance(found, Kernel)
    spec = Epilogue(bias=True, residual=True, activation="relu")
    assert found.conv == Conv(2, 8, 6, 64, 32, (3, 3), (2, 2), (1, 1, 1, 1), epilogue=spec)
    assert [argument.role for argument in found.takes] == ["data", "weights", "bias", "residual", "result"]


def test_a_quantized_layer_stays_in_int8() -> None:
    found = read(workload(requantized, dtype="int8"))
    assert isinstance(found, Kernel)
    assert (found.conv.dtype, found.conv.out_dtype) == ("int8", "int8")
    assert found.conv.epilogue == Epilogue(shift=True, scale=True, activation="relu")


def test_the_sums_alone_are_int32() -> None:
    found = read(workload(dtype="int8"))
    assert isinstance(found, Kernel)
    assert found.conv.out_dtype == "int32"


def cut(builder: relax.BlockBuilder, value: Any, more: dict[str, Any]) -> Any:  # noqa: ARG001
    return builder.emit(relax.op.astype(value, "int8"))


def relu_then_bias(builder: relax.BlockBuilder, value: Any, more: dict[str, Any]) -> Any:
    return builder.emit(relax.op.add(builder.emit(relax.op.nn.relu(value)), more["bias"]))


def sigmoid(builder: relax.BlockBuilder, value: Any, more: dict[str, Any]) -> Any:  # noqa: ARG001
    return builder.emit(relax.op.sigmoid(value))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"data": "NHWC"}, "its layouts are NHWC, HWOI and NHWC, not HWNC, HWOI and HWNC"),
        ({"groups": 2}, "it has 2 groups"),
        ({"channels": 12}, "its 12 input channels are 24 bytes, not a multiple of 16: pad them"),
        ({"dtype": "float32"}, "its operands are float32; the family takes float16, bfloat16, float8_e4m3fn, int8"),
        ({"after": cut, "dtype": "int8"}, "its values are cast to int8 in between"),
        ({"after": relu_then_bias}, "add comes after what its epilogue does later"),
        ({"after": sigmoid}, "sigmoid follows it, which its epilogue does not have"),
    ],
)
def test_it_says_why_it_leaves_a_kernel(given: dict[str, Any], reason: str) -> None:
    assert find_family("hwnc_sm90").refuses(workload(**given), HOPPER) == reason


def test_it_takes_kernels_for_hopper_alone() -> None:
    family, kernel = find_family("hwnc_sm90"), workload()
    assert family_for(kernel, HOPPER) is family
    for name in ("cuda:sm_80", "cuda:sm_90", "cuda:sm_100a", "llvm"):
        assert family.refuses(kernel, find_target(name)) == "it is for cuda:sm_90a"


def test_its_first_guess_is_in_its_space() -> None:
    family = find_family("hwnc_sm90")
    for kernel in (workload(bias_residual_relu), workload(requantized, dtype="int8")):
        guess = family.first_guess(kernel, HOPPER)
        assert checked(family, kernel, HOPPER, guess) == guess
        code = emitted(family, kernel, HOPPER, guess)
        assert code.calling == "apart"
        assert len(code.module["main"].params) == len(kernel.arguments) + 1


def test_knobs_that_do_not_go_together_are_refused_with_the_reason() -> None:
    family, kernel = find_family("hwnc_sm90"), workload()
    guess = dict(family.first_guess(kernel, HOPPER))
    wrong = guess | {"walk": "in turns", "split": 2, "warpgroups": 1}
    with pytest.raises(ScheduleError, match="a tile is split among the blocks of a cluster only where"):
        checked(family, kernel, HOPPER, wrong)
    with pytest.raises(ScheduleError, match="`columns` may be"):
        checked(family, kernel, HOPPER, guess | {"columns": 96})


def test_the_numbers_of_the_epilogue_are_those_of_the_model() -> None:
    def scaled(builder: relax.BlockBuilder, value: Any, more: dict[str, Any]) -> Any:  # noqa: ARG001
        value = builder.emit(relax.op.multiply(value, relax.const(0.25, "float16")))
        return builder.emit(relax.op.clip(value, 0, 6))

    found = read(workload(scaled))
    assert isinstance(found, Kernel)
    assert found.conv.epilogue == Epilogue(gain=0.25, activation="clip", clip=(0, 6))
