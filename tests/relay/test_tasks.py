"""AutoTVM's tasks, and what layers lack for the HWNC template. No GPU is needed to extract them."""

import pytest
from relay.relay_networks import chain, network, plan_of
from tvm import autotvm

from corecast.adapters.relay import apply, extract, lacks, missing, survey
from corecast.adapters.relay.tasks import TEMPLATE, TasksError


def converted(dtype="int8", data=(8, 32, 8, 8)):
    module = chain(("a", 64), data=data)
    return apply(plan_of(f"match nn.conv2d, set layout HWNC, cast {dtype}", module), module).converted


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_89"])
def test_every_architecture_with_the_tensor_cores_has_the_template(arch):
    (task,) = extract(converted(), f"cuda -arch={arch}")
    assert task.template == TEMPLATE


def test_a_layer_that_relay_pads_is_still_that_layer():
    (task,) = extract(converted(data=(6, 24, 8, 8)))
    assert (str(task.data), str(task.kernel), task.layers) == ("int8 8x8x8x32", "int8 3x3x64x32", ("nn.conv2d#0",))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_deviation_a_layer_without_a_schedule_shortens_the_list():
    """AutoTVM printed an error in a thread, and the caller got fewer tasks: for batch 1 none at all."""
    module = converted(data=(1, 32, 8, 8))
    assert autotvm.task.extract_from_program(module["main"], params={}, target="cuda -arch=sm_80") == []
    with pytest.raises(TasksError, match=r"nn\.conv2d#0 \(a\) is in HWNC.*: batch 1 is no multiple of 8; padding"):
        extract(module)


def test_a_target_without_tensor_cores_has_the_tasks_of_other_layouts():
    """The twin of the next one: nothing here is in HWNC."""
    (task,) = extract(chain(("a", 64)), "llvm")
    assert (task.template, task.layers) == ("conv2d_NCHWc.x86", ("nn.conv2d#0",))


def test_an_error_in_the_thread_of_the_extraction_is_an_error(monkeypatch):
    """AutoTVM itself returns the tasks that it met before, here none."""

    def broken(*_):
        raise RuntimeError("first line\nthe compiler broke")

    monkeypatch.setattr("tvm.autotvm.task.relay_integration._lower", broken)
    with pytest.raises(TasksError, match="AutoTVM extracts no tasks for `cuda -arch=sm_80`: the compiler broke"):
        extract(converted())


def test_what_tvm_writes_to_standard_error_stays_but_for_its_remark_on_the_gpu(capfd):
    import os

    from corecast.adapters.relay.tasks import _NO_GPU, _without

    with _without(_NO_GPU):
        os.write(2, f"Warning: {_NO_GPU}, default to\nWarning: another\n".encode())
    assert capfd.readouterr().err == "Warning: another\n"


@pytest.mark.parametrize("target", ["cuda", "cuda -arch=sm_70", "cuda -arch=sm_90a", "llvm"])
def test_a_target_without_the_template_is_refused(target):
    with pytest.raises(TasksError, match="has no tensor cores that the HWNC template can use"):
        extract(converted(), target)


def layer_of(data, outputs=64, groups=1, dilation=1):
    import tvm
    from tvm import relay

    x, w = relay.var("x", shape=data), relay.var("w", shape=(outputs, data[1] // groups, 3, 3))
    call = relay.nn.conv2d(x, w, groups=groups, dilation=dilation, channels=outputs, kernel_size=(3, 3))
    return survey(tvm.IRModule.from_expr(call)).layers[0]


@pytest.mark.parametrize(
    ("layer", "dtype", "reasons"),
    [
        (layer_of((8, 64, 8, 8)), "int8", ()),
        (layer_of((8, 16, 8, 8)), "int8", ()),
        (layer_of((8, 16, 8, 8)), "int4", ()),  # padded from 16 to 32, the work again once
        (layer_of((3, 64, 8, 8)), "int8", ()),
        (layer_of((8, 64, 8, 8), 8), "int4", ()),
        (
            layer_of((8, 64, 8, 8), 8),
            "int8",
            ("out_channels 8 is no multiple of 32", "padding would add 3 times the work"),
        ),
        (layer_of((1, 64, 8, 8)), "int8", ("batch 1 is no multiple of 8", "padding would add 7 times the work")),
        (
            layer_of((8, 3, 8, 8)),
            "int8",
            ("in_channels 3 is no multiple of 16", "padding would add 4.33 times the work"),
        ),
        (
            layer_of((6, 64, 8, 8), dilation=2),
            "int8",
            ("batch 6 is no multiple of 8", "a dilated convolution is never padded"),
        ),
        (layer_of((8, 64, 8, 8), groups=2), "int8", ("the template has no groups, and this layer has 2",)),
        (layer_of((8, 64, 8, 8)), "float16", ("the template computes in int4, uint4, int8, uint8, not in float16",)),
    ],
)
def test_what_a_layer_lacks_is_said(layer, dtype, reasons):
    found = missing(layer, dtype)
    assert len(found) == len(reasons)
    assert all(text.startswith(reason) for text, reason in zip(found, reasons, strict=True))


def test_another_operator_lacks_everything():
    assert missing(survey(network("mlp_b1")).by_op["nn.dense"][0], "int8") == ("the template is for nn.conv2d",)


def test_what_a_converted_layer_lacks_is_everything_that_keeps_it_away():
    assert lacks(survey(converted()).by_op["nn.conv2d"][0]) == ()
    (layer,) = survey(chain(("a", 24), data=(1, 32, 8, 8))).by_op["nn.conv2d"]
    assert lacks(layer) == (
        "its layout is NCHW",
        "it computes in float32",
        "in int8 batch 1 is no multiple of 8; out_channels 24 is no multiple of 32; padding would add 9.67 times the "
        "work, and Relay pads up to 2 times",
    )
