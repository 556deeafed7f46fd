"""What TVM needs to make code for CUDA: its tensor intrinsics, quickly imported, and how a module is compiled."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import FrameInfo
from typing import Any

import tvm
from tvm.ir.transform import PassContext
from tvm.tirx.script.parser import entry

MODE = "TVM_CUDA_COMPILE_MODE"


class _Inspect:
    """The module `inspect`, except that a stack comes without the lines of source code around each of its frames."""

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)

    @staticmethod
    def stack() -> list[FrameInfo]:
        frames, frame = [], sys._getframe(1)
        while frame is not None:
            frames.append(FrameInfo(frame, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, None, None))
            frame = frame.f_back  # type: ignore[assignment]
        return frames


@contextmanager
def parsed_quickly() -> Iterator[None]:
    """TVM's parser of kernels without what takes most of its time when its tensor intrinsics are imported.

    It asks twice for each of 248 kernels for the whole stack with its source code, to see from one line of it whether
    the kernel stands in a class; for that, Python goes through all modules. No intrinsic stands in one.
    """
    before = entry.inspect
    entry.inspect = _Inspect()
    try:
        yield
    finally:
        entry.inspect = before


def tensor_intrinsics() -> None:
    """Have TVM know its tensor intrinsics; schedules name them, and code that was made by schedules has them inside."""
    with parsed_quickly():
        import tvm.s_tir.tensor_intrin  # noqa: F401 - it registers them


@contextmanager
def compiling(target: tvm.target.Target) -> Iterator[None]:
    """How TVM compiles a module for a target; what is set for CUDA is as it was afterwards.

    nvcc makes the code where it is on the PATH and nobody asks for another compiler. TVM takes NVRTC by itself, which
    needs a package of its own, cuda-bindings, and nvcc's folder for the headers too. And storage is not rewritten: that
    puts sums in float32 where operands in float16 were, and TVM then takes no pointer to them ("tvm_access_ptr element
    type must match the source buffer"), so that nothing on tensor cores would compile. Shared memory is shared anyway.
    """
    if target.kind.name != "cuda":
        yield
        return
    config = {**PassContext.current().config, "tirx.disable_storage_rewrite": True}
    ours = MODE not in os.environ and shutil.which("nvcc") is not None
    if ours:
        os.environ[MODE] = "nvcc"
    try:
        with PassContext(config=config):
            yield
    finally:
        if ours:
            del os.environ[MODE]
