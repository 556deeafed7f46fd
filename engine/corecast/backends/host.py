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
    """The version of the LLVM that TVM was built with, or None: then it compiles nothing for a CPU."""
    version = tvm.get_global_func("target.llvm_version_major", allow_missing=True)
    return None if version is None else str(version())
