"""Calls in, their seconds on the GPU out: medians of many replays of a CUDA graph, with L2 warm or cold."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch
import tvm_ffi

Call = Callable[[], object]
CALLS, REPLAYS = 10, 15
# More than L2 holds, twice.
FLUSHED = 128 * 2**20


def seconds(call: Call, calls: int = CALLS, replays: int = REPLAYS) -> float:
    """One call, of those that follow each other in a graph; what they read is in L2 where it fits."""
    with tvm_ffi.use_torch_stream(torch.cuda.stream(torch.cuda.Stream())):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with tvm_ffi.use_torch_stream(torch.cuda.graph(graph)):
        for _ in range(calls):
            call()
    return queued_seconds(graph.replay, replays) / calls


def cold_seconds(call: Call, calls: int = CALLS) -> float:
    """One call after something else has filled L2; what filling takes is measured apart and taken off."""
    room = torch.empty(FLUSHED, device="cuda", dtype=torch.uint8)

    def flushed() -> None:
        room.zero_()
        call()

    return max(seconds(flushed, calls) - seconds(room.zero_, calls), 0.0)


def queued_seconds(call: Call, replays: int = REPLAYS, busy: int = 400_000) -> float:
    """One call, whatever it launches, on the stream that is current; the GPU is kept busy until it is queued."""
    call()
    torch.cuda.synchronize()
    times = []
    for _ in range(replays):
        torch.cuda._sleep(busy)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return median(times)
