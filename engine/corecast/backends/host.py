"""This machine in, what TVM finds on it out."""

from __future__ import annotations

import tvm

# More devices than this are not looked for.
MOST_DEVICES = 16


def gpus() -> list[str]:
    """Every CUDA device with its compute capability: `cuda:0 (sm_90)`."""
    devices = [tvm.cuda(number) for number in range(MOST_DEVICES)]
    return [
        f"cuda:{number} (sm_{str(device.compute_version).replace('.', '')})"
        for number, device in enumerate(devices)
        if device.exist
    ]


def llvm_version() -> str | None:
    """The version of the LLVM that TVM was built with; without one it compiles nothing for a CPU."""
    version = tvm.support.libinfo().get("LLVM_VERSION")
    return None if version in (None, "NOT-FOUND", "OFF") else str(version)
