"""A Relax module in, the kernels that TVM makes of it out: the stages of a build that tuning shares with it.

They are the first stages of TVM's own pipeline for a CPU, taken apart so that tuning can look between them and a build
can put schedules in. `tvm.compile` does the rest: memory, shapes and calls. Left alone it fuses nothing for a CPU.
"""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.ir import IRModule

from corecast.backends.calls import dtypes_by_layer
from corecast.backends.cuda import parsed_quickly
from corecast.backends.host import device_arch, missing_flags, tvm_target
from corecast.backends.said import reason
from corecast.lang.problems import CorecastError, Problem
from corecast.model import Target


class BuildError(CorecastError):
    """A module that cannot be compiled for its target, or would not run where it is."""

    @classmethod
    def from_tvm(cls, error: Exception, target: Target) -> BuildError:
        return cls(Problem("compiling-failed", f"TVM cannot compile the module for {target.name}: {reason(error)}"))


def unrunnable(module: IRModule, target: Target) -> Problem | None:
    """Why a module compiled for `target` would crash, be wrong or have nothing to run on here; None where all is well.

    TVM does not say so: it aborts the process when it folds or runs such a module.
    """
    return _not_here(target) or uncompilable(module, target)


def _not_here(target: Target) -> Problem | None:
    """Why code for a target does not run on this machine."""
    if target.kind == "cuda":
        found = device_arch()
        if found is None:
            message = f"TVM finds no CUDA device here, and {target.name} needs one"
            help = "build for it here (`corecast build --target`), and run it where there is one"
            return Problem("no-device", message, help=help)
        if found != str(target.arch).removesuffix("a"):
            message = f"the CUDA device of this machine is of {found}, and code for {target.name} does not run on it"
            return Problem("cannot-run-here", message, help="`corecast targets --here` says which target it is")
    if target.arch and target.kind == "llvm" and (missing := missing_flags(target.arch)):
        message = f"this machine's CPU is no {target.arch}: it lacks {', '.join(missing)}"
        return Problem("cannot-run-here", message, help="take the target llvm, which is this machine")
    return None


def uncompilable(module: IRModule, target: Target) -> Problem | None:
    """The first layer in a dtype in which code for the target would crash or be wrong, wherever it ran."""
    for layer, dtype in dtypes_by_layer(module["main"]):
        support = target.dtypes.get(dtype)
        if support is not None and support.level == "absent":
            message = f"`{layer}` is in {dtype}, which {target.name} cannot run: {support.note}"
            return Problem("cannot-run-here", message, help="cast it to a dtype that the target has, such as int8")
    return None


def legalized(module: IRModule, target: Target) -> IRModule:
    """Every operator a call of a kernel of its own, and constants folded.

    Raises `BuildError`; whether what is compiled would run is asked before, by `unrunnable`.
    """
    chip, transform = tvm_target(target), relax.transform
    passes = [transform.LegalizeOps(), transform.AnnotateTIROpPattern(), transform.FoldConstant()]
    try:
        with chip:
            return tvm.transform.Sequential([*relax.pipeline.library_dispatch_passes(chip), *passes])(module)
    except Exception as error:  # TVM raises several kinds, none of them its own
        raise BuildError.from_tvm(error, target) from error


def grouped(legal: IRModule) -> IRModule:
    """A convolution and what follows it element by element in one function, still a chain of kernel calls inside."""
    return relax.transform.FuseOps()(legal)


def with_threads(kernels: IRModule, target: Target) -> IRModule:
    """For a GPU, where loops alone are no program: TVM's default schedules for the kernels that have none."""
    if target.kind != "cuda":
        return kernels
    from tvm.s_tir import dlight

    rules = dlight.gpu
    # For products of half precision they import the tensor intrinsics.
    with parsed_quickly(), tvm_target(target):
        return dlight.ApplyDefaultSchedule(
            rules.Matmul(), rules.GEMV(), rules.Reduction(), rules.GeneralReduction(), rules.Fallback()
        )(kernels)


def fused(groups: IRModule) -> IRModule:
    """A grouped module with each group made one kernel: `fused_conv2d_add_relu`."""
    return relax.transform.FuseTIR()(groups)
