"""This machine and a target in, what TVM makes of them out: its own target object, cores, instruction sets, devices."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import tvm
from tvm.s_tir.meta_schedule.utils import cpu_count

from corecast.model import Target
from corecast.model.targets import cpu_flags

# More devices than this are not looked for.
MOST_DEVICES = 16


def tvm_target(target: Target) -> tvm.target.Target:
    """TVM's own object for a target; for `llvm` with this machine's instruction set, and always with its cores."""
    if target.kind == "cuda":
        return tvm.target.Target({"kind": "cuda", "arch": target.arch})
    chip = {"kind": "llvm", "num-cores": cores()}
    arch = target.arch or host_arch()
    return tvm.target.Target(chip | ({"mcpu": arch} if arch else {}))


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
    """The CPU flags that code for `arch` needs and this machine does not report."""
    return tuple(flag for flag in cpu_flags()[arch] if flag not in _host_flags())


@cache
def _host_flags() -> frozenset[str]:
    """What Linux says of an x86 CPU; nothing on other systems and other processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.split()) for line in lines if line.startswith("flags")), frozenset())


def gpus() -> list[str]:
    """Every CUDA device with its compute capability: `cuda:0 (sm_90)`."""
    devices = [tvm.cuda(number) for number in range(MOST_DEVICES)]
    return [
        f"cuda:{number} (sm_{str(device.compute_version).replace('.', '')})"
        for number, device in enumerate(devices)
        if device.exist
    ]


def llvm_version() -> str | None:
    """The version of the LLVM that TVM was built with, or None: then it compiles nothing for a CPU."""
    version = tvm.get_global_func("target.llvm_version_major", allow_missing=True)
    return None if version is None else str(version())
