"""This machine and a target in, what TVM makes of them out: its own target object, cores, instruction sets, devices."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

import tvm
from tvm.s_tir.meta_schedule.utils import cpu_count

from corecast.model import Target
from corecast.model.targets import cpu_flags

# More devices than this are not looked for.
MOST_DEVICES = 16
# What MetaSchedule and TVM's default schedules ask of a GPU: the same in every tag that TVM has for chips of our table.
# Shared memory is the 48 KiB that a block has unasked: their schedules ask for no more.
CUDA_LIMITS = {
    "max_threads_per_block": 1024,
    "max_shared_memory_per_block": 48 << 10,
    "registers_per_block": 64 << 10,
    "thread_warp_size": 32,
}


def tvm_target(target: Target) -> tvm.target.Target:
    """TVM's own object for a target: a CPU with its instruction set and cores, a GPU with the limits of its blocks."""
    if target.kind == "cuda":
        return tvm.target.Target({"kind": "cuda", "arch": target.arch, **CUDA_LIMITS})
    chip = {"kind": "llvm", "num-cores": cores()}
    if arch := target.arch or host_arch():
        chip["mcpu"] = arch
    if target.machine and target.machine != machine():
        chip["mtriple"] = f"{target.machine}-linux-gnu"
    return tvm.target.Target(chip)


def device_kind(chip: tvm.target.Target) -> str:
    """TVM's name for the devices that a target's code runs on."""
    return "cpu" if chip.kind.name == "llvm" else str(chip.kind.name)


def cores() -> int:
    """How many physical cores this process may use; MetaSchedule refuses a CPU target that does not say."""
    physical = int(cpu_count(logical=False))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return min(physical, allowed)


def host_arch() -> str | None:
    """The best architecture of the table that this CPU reports whole, or None: then TVM's baseline is used.

    LLVM's own guess names the chip, and a virtual machine may hide some of that chip's instructions.
    """
    return next((arch for arch in cpu_flags() if not missing_flags(arch)), None)


def vector_bits(target: Target) -> int:
    """How wide the vector registers are that code for a CPU target uses."""
    arch = target.arch or host_arch()
    flags = cpu_flags().get(arch, ()) if arch else ()
    return next((bits for flag, bits in (("avx512f", 512), ("avx2", 256)) if flag in flags), 128)


def missing_flags(arch: str) -> tuple[str, ...]:
    """The CPU features, in LLVM's names, that code for `arch` needs and this machine does not report."""
    return tuple(flag for flag in cpu_flags()[arch] if flag not in host_flags())


@cache
def host_flags() -> frozenset[str]:
    """The features that this CPU reports to LLVM, in its names; nothing where TVM has no LLVM."""
    found = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUFeatures", allow_missing=True)
    return frozenset(str(name) for name, has in found().items() if has) if found else frozenset()


def machine() -> str:
    """The first part of this machine's triple, such as `x86_64`; empty where TVM has no LLVM."""
    triple = tvm.get_global_func("tvm.codegen.llvm.GetDefaultTargetTriple", allow_missing=True)
    return str(triple()).partition("-")[0] if triple else ""


def cpu_name() -> str | None:
    """What LLVM takes this CPU for; a virtual machine may hide some of what that chip has."""
    name = tvm.get_global_func("tvm.codegen.llvm.GetHostCPUName", allow_missing=True)
    return str(name()) if name else None


def driver(target: Target) -> str:
    """What makes machine code of TVM's output for a target, with its version: `llvm 22`, `cuda 13.0`."""
    if target.kind == "llvm":
        return f"llvm {llvm_version() or 'none'}"
    device = tvm.device(target.kind, 0)
    if not device.exist:
        return f"{target.kind} none"
    number = int(device.api_version)
    return f"{target.kind} {number // 1000}.{number % 1000 // 10}"


class Gpu(NamedTuple):
    """A CUDA device: its number, what its driver calls it, its compute capability as in `sm_90`, its memory."""

    number: int
    name: str
    arch: str
    bytes: int

    def __str__(self) -> str:
        return f"cuda:{self.number} ({self.arch})"


def gpus() -> list[Gpu]:
    """Every CUDA device that TVM finds."""
    devices = ((number, tvm.cuda(number)) for number in range(MOST_DEVICES))
    return [
        Gpu(
            number,
            str(device.device_name),
            f"sm_{str(device.compute_version).replace('.', '')}",
            int(device.total_global_memory),
        )
        for number, device in devices
        if device.exist
    ]


def device_of(target: Target) -> tvm.runtime.Device:
    """Where code for a target runs: the CPU, or the first CUDA device."""
    return tvm.cuda(0) if target.kind == "cuda" else tvm.cpu()


def device_arch() -> str | None:
    """The compute capability of the first CUDA device, as in `sm_90`; None where there is none."""
    return next((gpu.arch for gpu in gpus()), None)


def llvm_version() -> str | None:
    """The version of the LLVM that TVM was built with, or None: then it compiles nothing for a CPU."""
    version = tvm.get_global_func("target.llvm_version_major", allow_missing=True)
    return None if version is None else str(version())
