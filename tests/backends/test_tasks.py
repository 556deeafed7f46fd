"""From layer names to the kernels that they become."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tvm import relax, tirx
from tvm.ir import IRModule

from corecast.backends import BuildError, TaskError, tasks
from corecast.model import Target
from corecast.recipe import Tune


def wanted(*layers: str, trials: int | None = None) -> dict[str, Tune]:
    return {layer: Tune(tuner="tensorcore", trials=trials) for layer in layers}


def test_equal_convolutions_with_different_epilogues_are_different_tasks(four_convolutions: IRModule, cpu: Target):
    """Four equal convolutions are three kernels: what follows a convolution is part of its kernel."""
    found = tasks(four_convolutions, wanted("n1", "n4", "n7", "n11"), cpu)
    assert [(task.name, task.layers) for task in found] == [
        ("fused_conv2d_add_relu", ("n1", "n4")),
        ("fused_conv2d_add_add1_relu", ("n7",)),
        ("conv2d", ("n11",)),
    ]


def test_a_layer_is_found_where_tvm_keeps_the_kernel_of_an_equal_one(four_convolutions: IRModule, cpu: Target):
    """After fusion only n1's name is left in the kernel that n4 shares with it."""
    (task,) = tasks(four_convolutions, wanted("n4"), cpu)
    assert (task.name, task.layers) == ("fused_conv2d_add_relu", ("n4",))


def test_runs_count_the_layers_that_did_not_ask(four_convolutions: IRModule, cpu: Target):
    """The schedule of a kernel serves every call of it."""
    (task,) = tasks(four_convolutions, wanted("n4"), cpu)
    assert task.runs == 2


def test_trials_are_the_most_that_a_layer_asked_for(four_convolutions: IRModule, cpu: Target):
    """Layers that share a kernel share its trials; without a number the tuner's own holds."""
    (task,) = tasks(four_convolutions, wanted("n1", trials=4) | wanted("n4", trials=8), cpu)
    assert task.trials == 8
    (task,) = tasks(four_convolutions, wanted("n7"), cpu)
    assert task.trials is None


def test_every_wanted_layer_without_a_kernel_is_named(four_convolutions: IRModule, cpu: Target):
    """A request to tune is never dropped without a word."""
    with pytest.raises(TaskError) as caught:
        tasks(four_convolutions, wanted("n1", "n98", "n99"), cpu)
    assert [problem.slug for problem in caught.value.problems] == ["no-task", "no-task"]
    assert "`n98`" in str(caught.value)
    assert "`n99`" in str(caught.value)


def test_a_layer_of_dynamic_shape_is_no_task(cast_convolution: Callable[..., IRModule], cpu: Target):
    """MetaSchedule takes static loops only, and says so with a failed internal check."""
    module = cast_convolution("float16", (tirx.Var("batch", "int64"), 8, 6, 6))
    with pytest.raises(TaskError, match="`n1` cannot be tuned: its shapes are not static"):
        tasks(module, wanted("n1"), cpu)


def test_the_module_itself_is_left_as_it_was(four_convolutions: IRModule, cpu: Target):
    """Marks are made on a copy."""
    before = four_convolutions.script()
    tasks(four_convolutions, wanted("n1", "n7"), cpu)
    assert four_convolutions.script() == before
    assert all(isinstance(function, relax.Function) for _, function in four_convolutions.functions_items())


def test_a_module_in_int4_is_refused_before_tvm_folds_it(cast_convolution: Callable[..., IRModule], cpu: Target):
    """Folding a 4-bit constant aborts the process."""
    with pytest.raises(BuildError, match="`n1` is in int4"):
        tasks(cast_convolution("int4"), wanted("n1"), cpu)
