"""What is known of a target, and TVM's own object for it."""

from __future__ import annotations

import pytest

from corecast.backends import host, tvm_target
from corecast.model import TargetError, find_target, known_targets


def test_every_row_says_where_it_is_known_from_and_why_it_is_declined():
    """A row has a source; one that is not native has a note, and one that computes has accumulators."""
    for target in known_targets():
        assert {"float32", "float16", "int8", "int4"} <= target.dtypes.keys()
        for dtype, support in target.dtypes.items():
            assert support.source, (target.name, dtype)
            assert support.level == "native" or support.note, (target.name, dtype)
            assert support.level == "absent" or support.accumulators, (target.name, dtype)


def test_every_named_cpu_says_which_flags_it_needs():
    """Code for a named CPU is only run where Linux reports its flags."""
    for target in known_targets():
        if target.kind == "llvm" and target.arch:
            assert isinstance(host.missing_flags(target.arch), tuple)


def test_int4_is_native_until_sm_89_and_emulated_after_it():
    """Nothing but the table tells a plan that int4 is a dead end on Hopper."""
    assert find_target("cuda:sm_80").objection("int4", "int32") is None
    assert find_target("cuda:sm_89").objection("int4", "int32") is None
    assert find_target("cuda:sm_90a").objection("int4", "int32") == (
        "sm_90 emulates int4 mma: 48 TOPS against 1280 for int8"
    )


def test_the_cpu_declines_int4_and_float8_and_takes_int8():
    """The reasons are the ones that a plan prints."""
    cpu = find_target("llvm")
    assert cpu.objection("int8", "int32") is None
    assert "dies when it runs" in str(cpu.objection("int4", "int32"))
    assert "0.0078" in str(cpu.objection("float8_e4m3fn", "float32"))


@pytest.mark.parametrize(
    ("text", "help"),
    [("cuda:sm_90x", "did you mean `cuda:sm_90`"), ("tpu", "known targets: llvm, ")],
)
def test_an_unknown_target_is_an_error_that_offers_known_ones(text: str, help: str):
    """Close names come first; where none is close, all are listed."""
    with pytest.raises(TargetError) as caught:
        find_target(text)
    (problem,) = caught.value.problems
    assert problem.slug == "unknown-target"
    assert str(problem.help).startswith(help)


def test_a_cpu_target_carries_this_machines_cores():
    """MetaSchedule refuses a CPU target without a number of cores."""
    chip = tvm_target(find_target("llvm"))
    assert int(chip.attrs["num-cores"]) == host.cores() >= 1
    assert chip.attrs.get("mcpu") == host.host_arch()


def test_the_host_is_the_best_cpu_whose_flags_are_all_reported(monkeypatch: pytest.MonkeyPatch):
    """A virtual machine that hides AVX-512 gets code without it, whatever its chip is called."""
    monkeypatch.setattr(host, "_host_flags", lambda: frozenset("avx avx2 bmi1 bmi2 f16c fma movbe".split()))
    assert host.host_arch() == "x86-64-v3"
    monkeypatch.setattr(host, "_host_flags", frozenset)
    assert host.host_arch() is None


def test_a_cuda_target_carries_its_architecture():
    """TVM picks tensor core schedules by it."""
    assert tvm_target(find_target("cuda:sm_80")).attrs["arch"] == "sm_80"
