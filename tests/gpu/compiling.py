"""Kernels to compile in, loaded functions out, as many at a time as there are cores, in processes of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from corecast.backends.schedules.hwnc_sm90.cost import proposals
from corecast.backends.schedules.hwnc_sm90.kernel import arguments, kernel
from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.space import HOPPER
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs, Tiling

ARCH = "sm_90a"


@dataclass(frozen=True)
class Wanted:
    """A kernel, and what it is called in reports."""

    conv: Conv
    knobs: Knobs
    name: str = ""
    multiprocessors: int = HOPPER.multiprocessors


def compile_all(wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, Callable[..., Any] | Exception]]:
    """Every kernel as soon as it is compiled, loaded; or what went wrong with it."""
    pool = ProcessPoolExecutor(os.cpu_count(), get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            pool.submit(_export, each, str(Path(folder) / f"{number}.so")): each for number, each in enumerate(wanted)
        }
        try:
            for job in as_completed(jobs):
                error = job.exception()
                yield jobs[job], error if isinstance(error, Exception) else loaded(job.result())
        finally:
            pool.shutdown(cancel_futures=True)  # who asked may have enough


def export_all(wanted: Iterable[Wanted], folder: Path) -> None:
    """Every kernel as a library in a folder: `0.so`, `1.so` and so on."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        list(pool.map(_export, wanted, (str(folder / f"{number}.so") for number in count())))


def compiled_modules(wanted: Iterable[Wanted]) -> list[Any]:
    """Each kernel as a module whose one function has the name that was wanted: what another module calls by it."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda each: _compiled(each, each.name).mod, wanted))


def _compiled(wanted: Wanted, symbol: str) -> Any:
    os.environ["TVM_CUDA_COMPILE_MODE"] = "nvcc"
    import tvm

    tiling = Tiling(wanted.conv.flattened(), wanted.knobs, wanted.multiprocessors)
    function = kernel(tiling, arguments(wanted.conv)).with_attr("global_symbol", symbol)
    target = tvm.target.Target({"kind": "cuda", "arch": ARCH})
    return tvm.compile(tvm.IRModule({symbol: function}), target=target, tir_pipeline="tirx")


def _export(wanted: Wanted, path: str) -> str:
    _compiled(wanted, "main").export_library(path)
    return path


def all_proposals(convs: Iterable[Conv], most: int) -> list[list[Knobs]]:
    """What is worth measuring of each convolution, the first guess first."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(proposals, convs, repeat(most), chunksize=4))


def loaded(path: str | Path) -> Callable[..., Any]:
    import tvm

    function: Callable[..., Any] = tvm.runtime.load_module(str(path))["main"]
    return function
