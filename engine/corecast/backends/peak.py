"""This machine in, what its units can do at most out: float32 operations a second, measured and not looked up.

Every core multiplies and adds in vector registers and touches no memory, by a kernel of TVM's own: sixteen chains of
fused multiply-adds, enough to fill the units in spite of the time that each one takes.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import te
from tvm.ir import IRModule
from tvm.s_tir import Schedule

from corecast.backends.host import cores, device_of, tvm_target, vector_bits
from corecast.model import Target

HOW = "fused multiply-adds in vector registers on every core, the best of 400 short runs"

# A run takes half a millisecond: short enough for one of many not to be disturbed on a machine that others use.
CHAINS, STEPS, RUNS = 16, 100_000, 400


def peak(target: Target) -> float | None:
    """Float32 operations a second, a multiply-add being two; None for what is no CPU."""
    if target.kind != "llvm":
        return None
    threads, lanes = cores(), vector_bits(target) // 32
    code = tvm.compile(_chains(threads, lanes), target=tvm_target(target))
    factors = tvm.runtime.tensor(np.full((threads, lanes), 0.5, "float32"))  # the sums come to 1, not to infinity
    sums = tvm.runtime.tensor(np.empty((threads, CHAINS, lanes), "float32"))
    timer = code.mod.time_evaluator("main", device_of(target), number=1, repeat=RUNS)
    return float(2 * threads * CHAINS * lanes * STEPS / min(timer(factors, sums).results))


def _chains(threads: int, lanes: int) -> IRModule:
    factors, step = te.placeholder((threads, lanes)), te.reduce_axis((0, STEPS))
    chain = te.comm_reducer(lambda sum, factor: sum * factor + factor, lambda dtype: te.const(0, dtype))
    sums = te.compute((threads, CHAINS, lanes), lambda i, _, lane: chain(factors[i, lane], axis=step), "sums")
    schedule = Schedule(IRModule({"main": te.create_prim_func([factors, sums])}))
    block = schedule.get_sblock("sums")
    written = schedule.cache_write(block, 0, "global")
    thread, chains, lane, steps = schedule.get_loops(block)
    schedule.reorder(steps, chains, lane)
    schedule.unroll(chains)
    schedule.vectorize(lane)
    schedule.parallel(thread)
    schedule.reverse_compute_at(written, thread)
    schedule.decompose_reduction(block, steps)
    return schedule.mod
