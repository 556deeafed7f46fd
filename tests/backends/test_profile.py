"""Where the time of a run goes: calls of kernels with their layers and seconds, and the peak to compare them with."""

from __future__ import annotations

import numpy as np
import pytest
from tvm.ir import IRModule

from corecast.backends import Runner, build
from corecast.backends.attribution import layers_of_calls
from corecast.backends.peak import peak
from corecast.backends.profile import profile
from corecast.model import Target, find_target


def test_each_call_of_a_kernel_has_its_layers(four_convolutions: IRModule, cpu: Target):
    """The first two are one kernel, and still each call is told what it computes; a bias and a relu belong to it."""
    calls = layers_of_calls(four_convolutions, cpu)
    assert [layers for _, layers in calls] == [
        ("n1", "n2", "n3"),
        ("n4", "n5", "n6"),
        ("n7", "n8", "n9", "n10"),
        ("n11",),
    ]
    names = [name for name, _ in calls]
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_a_profile_has_a_time_for_each_call_in_each_run(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target
):
    """In the order in which they are stated; results are stored in what others have left."""
    runner = Runner(build(four_convolutions, cpu), weights)
    found = profile(runner, [np.ones((1, 8, 6, 6), np.float32)], runs=3)
    assert list(found.kernels) == [name for name, _ in layers_of_calls(four_convolutions, cpu)]
    assert all(len(times) == 3 and min(times) > 0 for times in found.seconds)
    result = 8 * 6 * 6 * 4
    assert 2 * result <= found.storage <= 4 * result


def test_a_runner_computes_the_same_while_it_is_observed(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target
):
    """The instrument looks on, and sees what the runner itself calls."""
    runner, seen = Runner(build(four_convolutions, cpu), weights), []
    x = np.ones((1, 8, 6, 6), np.float32)
    before = runner(x)
    runner.observed(x, instrument=lambda _function, name, is_before, *_: seen.append((name, is_before)))()
    assert seen.count(("vm.builtin.alloc_tensor", True)) == seen.count(("vm.builtin.alloc_tensor", False)) == 4
    np.testing.assert_array_equal(runner(x), before)


def test_the_peak_is_that_of_a_cpu(cpu: Target):
    """Between a slow core and a large server, and not of a device that is not measured."""
    found = peak(cpu)
    assert found is not None
    assert 1e9 < found < 1e14
    assert peak(find_target("cuda:sm_90a")) is None


@pytest.mark.gpu
def test_a_gpu_is_waited_for(four_convolutions: IRModule, weights: dict[str, np.ndarray]):
    """A launch returns at once; what is timed is the kernel."""
    import tvm

    if not tvm.cuda(0).exist:
        pytest.skip("TVM finds no CUDA device")
    from corecast.api.targets import this_machine

    target = find_target(str(this_machine().gpus[0].target))
    runner = Runner(build(four_convolutions, target), weights)
    found = profile(runner, [np.ones((1, 8, 6, 6), np.float32)], runs=3)
    assert list(found.kernels) == [name for name, _ in layers_of_calls(four_convolutions, target)]
    assert all(min(times) > 1e-6 for times in found.seconds)
