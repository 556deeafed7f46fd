"""What is known of a target, and TVM's own object for it."""

from __future__ import annotations

import pytest
import tvm

from corecast.api.targets import this_machine
from corecast.backends import host, tvm_target
from corecast.backends.host import Gpu
from corecast.model import TargetError, find_target


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


def test_tuning_is_for_the_dtypes_that_a_tuner_reaches():
    """The same word asks for wmma on a GPU and for vectors on a CPU; the reason is the one that a plan prints."""
    hopper, cpu = find_target("cuda:sm_90a"), find_target("llvm")
    assert hopper.untuned("float16", "float32") is None
    assert hopper.untuned("int8", "int32") is None
    assert hopper.untuned("float32", "float32") == (
        "tensor cores take no float32, and TVM 0.27 has no intrinsic for tf32; float16 and int8 are tuned here"
    )
    assert hopper.untuned("int8", "float32") == ("on cuda:sm_90a only sums in int32 are tuned for int8, not in float32")
    assert cpu.untuned("float32", "float32") is None
    assert "dies when it runs" in str(cpu.untuned("int4", "int32"))
    assert cpu.untuned("bool", "bool") == "nothing is known of bool on llvm"


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
    monkeypatch.setattr(host, "host_flags", lambda: frozenset("avx avx2 bmi bmi2 f16c fma movbe".split()))
    assert host.host_arch() == "x86-64-v3"
    monkeypatch.setattr(host, "host_flags", frozenset)
    assert host.host_arch() is None


def test_a_cuda_target_carries_its_architecture():
    """TVM picks tensor core schedules by it."""
    assert tvm_target(find_target("cuda:sm_80")).attrs["arch"] == "sm_80"


def test_a_cpu_of_another_make_carries_its_triple(monkeypatch: pytest.MonkeyPatch):
    """LLVM compiles for it here; on such a machine itself, the triple is left to LLVM."""
    assert str(tvm_target(find_target("llvm:neoverse-n1")).attrs["mtriple"]) == "aarch64-linux-gnu"
    assert "mtriple" not in tvm_target(find_target("llvm:x86-64-v3")).attrs
    monkeypatch.setattr(host, "machine", lambda: "aarch64")
    assert "mtriple" not in tvm_target(find_target("llvm:neoverse-n1")).attrs


def test_a_machine_is_described_with_its_devices(monkeypatch: pytest.MonkeyPatch):
    """What the CPU is, what it lacks for a better one, and the target of each GPU; an unknown one is told as it is."""
    monkeypatch.setattr(host, "host_flags", lambda: frozenset(find_target("llvm:x86-64-v4").features))
    found = [Gpu(0, "NVIDIA H200", "sm_90", 141 << 30), Gpu(1, "something new", "sm_200", 1 << 30)]
    monkeypatch.setattr(host, "gpus", lambda: found)
    here = this_machine()
    assert here.cpu.target == "llvm:x86-64-v4"
    assert here.cpu.lacking["llvm:cascadelake"] == ("avx512vnni",)
    assert "llvm:neoverse-n1" not in here.cpu.lacking
    assert [gpu.target for gpu in here.gpus] == ["cuda:sm_90a", None]


def test_no_device_is_a_finding_and_no_error(monkeypatch: pytest.MonkeyPatch):
    """Most machines that plan have none."""
    monkeypatch.setattr(host, "gpus", list)
    assert this_machine().gpus == ()


@pytest.mark.gpu
def test_the_devices_of_this_machine_are_found():
    """TVM's own name of the architecture is one of the table."""
    if not tvm.cuda(0).exist:
        pytest.skip("TVM finds no CUDA device")
    gpu = this_machine().gpus[0]
    assert gpu.bytes > 0
    assert gpu.target is not None
