"""A stand-in for `libcuda.so.1`, the NVIDIA driver's library, for machines without a driver and without a compiler.

The TVM that has Relay is linked against the driver and does not load without it, though surveying, converting and
extracting tasks never call it. The stub is a shared object of two pages whose functions all return
`CUDA_ERROR_NO_DEVICE`, which is the truth.
"""

from __future__ import annotations

import struct
from pathlib import Path

SONAME = "libcuda.so.1"

# What that TVM imports from the driver; the loader refuses it if one is missing.
FUNCTIONS = """
    cuDeviceGetName cuFuncSetAttribute cuGetErrorName cuLaunchKernel cuMemsetD32_v2 cuModuleGetFunction
    cuModuleGetGlobal_v2 cuModuleLoadData cuModuleUnload cuTensorMapEncodeIm2col cuTensorMapEncodeTiled
""".split()

PAGE = 0x1000
NO_DEVICE = b"\xb8\x64\x00\x00\x00\xc3"  # mov eax, 100; ret

# The few constants of the ELF format that are needed, under the names of its specification.
ET_DYN, EM_X86_64, EV_CURRENT = 3, 62, 1
PT_LOAD, PT_DYNAMIC, PT_GNU_STACK = 1, 2, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4
DT_NULL, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 0, 4, 5, 6, 10, 11, 14
STB_GLOBAL_STT_FUNC = 0x12
HEADER, SEGMENT, SYMBOL = 64, 56, 24  # sizes of a file header, a program header, a symbol


def write(folder: Path) -> None:
    """Put the stub into a folder, under the driver's name."""
    (folder / SONAME).write_bytes(shared_object(SONAME, FUNCTIONS))


def shared_object(soname: str, functions: list[str]) -> bytes:
    """An x86-64 shared object of this name whose functions all return 100."""
    names, offsets = _strings([soname, *functions])
    code = HEADER + 4 * SEGMENT
    symbols = code + 16  # the code has 6 bytes, and a symbol stands on a multiple of 8
    hashes = symbols + SYMBOL * (len(functions) + 1)
    # One bucket: the loader then walks the chain of all symbols, the last of which ends it.
    count = len(functions) + 1
    table = struct.pack(f"<{3 + count}I", 1, count, 1, 0, *range(2, count), 0)
    strings = hashes + len(table)
    end = strings + len(names)
    assert end <= PAGE, "the read-only page is full"
    dynamic = [
        (DT_SONAME, offsets[soname]),
        (DT_HASH, hashes),
        (DT_STRTAB, strings),
        (DT_SYMTAB, symbols),
        (DT_STRSZ, len(names)),
        (DT_SYMENT, SYMBOL),
        (DT_NULL, 0),
    ]
    entries = b"".join(struct.pack("<QQ", *entry) for entry in dynamic)
    readable = b"".join(
        [
            _header(),
            _segment(PT_LOAD, PF_R | PF_X, 0, end, PAGE),
            _segment(PT_LOAD, PF_R | PF_W, PAGE, len(entries), PAGE),  # the loader writes into its dynamic section
            _segment(PT_DYNAMIC, PF_R | PF_W, PAGE, len(entries), 8),
            _segment(PT_GNU_STACK, PF_R | PF_W, 0, 0, 16),  # without it the stack would have to be executable
            NO_DEVICE.ljust(16, b"\0"),
            bytes(SYMBOL),
            *(struct.pack("<IBBHQQ", offsets[name], STB_GLOBAL_STT_FUNC, 0, 1, code, 6) for name in functions),
            table,
            names,
        ]
    )
    return readable.ljust(PAGE, b"\0") + entries


def _strings(names: list[str]) -> tuple[bytes, dict[str, int]]:
    """Names one after another, each ended by a zero, and where each begins."""
    table, offsets = b"\0", {}
    for name in names:
        offsets[name] = len(table)
        table += name.encode() + b"\0"
    return table, offsets


def _header() -> bytes:
    identification = b"\x7fELF" + bytes([2, 1, EV_CURRENT]) + bytes(9)  # 64 bits, little endian, System V
    fields = (ET_DYN, EM_X86_64, EV_CURRENT, 0, HEADER, 0, 0, HEADER, SEGMENT, 4, 0, 0, 0)
    return identification + struct.pack("<HHIQQQIHHHHHH", *fields)


def _segment(kind: int, flags: int, offset: int, size: int, align: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, offset, offset, offset, size, size, align)
