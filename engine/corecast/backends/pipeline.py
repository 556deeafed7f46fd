"""A Relax module in, the kernels that TVM makes of it out: the stages of a build that tuning shares with it.

They are the first stages of TVM's own pipeline for a CPU, taken apart so that tuning can look between them and a build
can put schedules in. `tvm.compile` does the rest: memory, shapes and calls. Left alone it fuses nothing for a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator

import tvm
from tvm import relax, tirx
from tvm.ir import Call, GlobalVar, IRModule


def legalized(module: IRModule, target: tvm.target.Target) -> IRModule:
    """Every operator a call of a kernel of its own. Constants are folded here: no 4-bit tensor may come this far."""
    transform = relax.transform
    passes = [transform.LegalizeOps(), transform.AnnotateTIROpPattern(), transform.FoldConstant()]
    with target:
        return tvm.transform.Sequential([*relax.pipeline.library_dispatch_passes(target), *passes])(module)


def grouped(legal: IRModule) -> IRModule:
    """A convolution and what follows it element by element in one function, still a chain of kernel calls inside."""
    return relax.transform.FuseOps()(legal)


def fused(legal: IRModule) -> IRModule:
    """The same with each group made one kernel: `fused_conv2d_add_relu`."""
    return relax.transform.FuseTIR()(grouped(legal))


def kernels(module: IRModule) -> dict[str, tirx.PrimFunc]:
    """The kernels of a module by name."""
    return {
        var.name_hint: function for var, function in module.functions_items() if isinstance(function, tirx.PrimFunc)
    }


def bindings(function: relax.Function) -> Iterator[relax.Binding]:
    """The bindings of a function's body in order."""
    for block in function.body.blocks:
        yield from block.bindings


def called_kernel(value: relax.Expr) -> GlobalVar | None:
    """The kernel that an expression calls, or None where it is no `call_tir`."""
    if isinstance(value, Call) and value.op == tvm.ir.Op.get("relax.call_tir"):
        return value.args[0]
    return None
