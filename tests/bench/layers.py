"""Convolutions of ResNet-50 tuned by MetaSchedule on a GPU: what 64 trials take, what they bring, and what cuDNN takes.

`python tests/bench/layers.py cuda:sm_90a` on a machine with that GPU and nvcc; PyTorch, where it is installed, runs
cuDNN. A line for each layer as it is done, with MetaSchedule's own account of the time of the first; no layer begins
after `--limit` seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, nullcontext
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

from tvm import relax
from tvm.ir import IRModule
from tvm.s_tir import meta_schedule as ms

from corecast.backends import Bench, Records, TuneError, TuneProgress, find_tuner, tasks, tune
from corecast.model import find_target
from corecast.recipe import Tune

START = perf_counter()
BATCH = 32
# Height and width, channels in and out, size of the kernel.
LAYERS = [(14, 256, 256, 3), (28, 128, 128, 3), (56, 64, 64, 3), (7, 512, 512, 3), (56, 64, 256, 1)]
KINDS = [("float16", "NHWC"), ("int8", "NHWC"), ("float16", "HWNC")]
KERNEL = {"NHWC": "OHWI", "HWNC": "HWIO"}


def say(text: str) -> None:
    print(f"{perf_counter() - START:6.1f}  {text}", flush=True)


def module(dtype: str, layout: str, size: int, channels: int, out: int, kernel: int) -> IRModule:
    """The layer `conv` with the relu behind it: half precision summed in float32, int8 in int32."""
    axes = {"N": BATCH, "H": size, "W": size, "C": channels}
    weights = {"O": out, "I": channels, "H": kernel, "W": kernel}
    x = relax.Var("x", relax.TensorType([axes[axis] for axis in layout], dtype))
    w = relax.Var("w", relax.TensorType([weights[axis] for axis in KERNEL[layout]], dtype))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w]):
        with builder.dataflow():
            layouts = {"data_layout": layout, "kernel_layout": KERNEL[layout], "padding": kernel // 2}
            sums = "int32" if dtype == "int8" else "float32"
            found = builder.emit(relax.op.nn.conv2d(x, w, **layouts, out_dtype=sums), "conv")
            cut = builder.emit(relax.op.nn.relu(found), "cut")
            result = builder.emit_output(cut if dtype == "int8" else relax.op.astype(cut, dtype))
        builder.emit_func_output(result)
    return builder.get()


def cudnn(size: int, channels: int, out: int, kernel: int) -> float:
    """Microseconds of the same convolution in half precision and NHWC by PyTorch, its fastest algorithm."""
    import torch

    torch.backends.cudnn.benchmark = True
    x = torch.randn(BATCH, channels, size, size, device="cuda", dtype=torch.half)
    w = torch.randn(out, channels, kernel, kernel, device="cuda", dtype=torch.half)
    x, w = (each.to(memory_format=torch.channels_last) for each in (x, w))

    def run() -> None:
        torch.relu_(torch.nn.functional.conv2d(x, w, padding=kernel // 2))

    times = []
    for _ in range(8):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        run()
        start.record()
        for _ in range(50):
            run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 50 * 1e3)
    return median(times[1:])


def tuned(bench: Bench, dtype: str, layout: str, layer: tuple[int, int, int, int], trials: int, folder: Path) -> str:
    """What tuning one layer came to."""
    made = module(dtype, layout, *layer)
    wanted = tasks(made, {"conv": Tune(tuner="tensorcore", trials=trials)}, bench.target)
    records = Records.create(folder / "records.sqlite", bench.target)
    rounds: list[TuneProgress] = []
    start = perf_counter()
    try:
        (result,) = tune(wanted, records, tuner=find_tuner("metaschedule"), bench=bench, progress=rounds.append)
    except TuneError as error:
        return f"{perf_counter() - start:.1f} s, no schedule: {error.problems[0].message}"
    best = min((each.best_us for each in rounds if each.best_us is not None), default=0.0)
    return (
        f"{perf_counter() - start:.1f} s for {result.trials} trials, {result.failed} failed; "
        f"TVM's default {result.before_us:.1f} us, tuned {result.after_us:.1f} us (best trial {best:.1f} us)"
        + (f"; default kept: {result.kept_default}" if result.kept_default else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="cuda:sm_90a and the like")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which no further layer begins")
    parser.add_argument("--trials", type=int, default=64)
    options = parser.parse_args()
    first = True
    # PyTorch has a process of its own: what it holds of the device is not in the way of the next layer's measurements.
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    with pool, tempfile.TemporaryDirectory() as folder, closing(Bench(find_target(options.target))) as bench:
        for number, layer in enumerate(LAYERS):
            for dtype, layout in KINDS:
                if perf_counter() - START > options.limit:
                    say("out of time")
                    return
                place = Path(folder) / f"{number}-{dtype}-{layout}"
                place.mkdir()
                with ms.Profiler() if first else nullcontext() as profiler:
                    outcome = tuned(bench, dtype, layout, layer, options.trials, place)
                say(f"{layer}, {dtype} {layout}: {outcome}")
                for line in str(profiler.table()).splitlines() if first else ():
                    say(f"    {line}")
                first = False
            try:
                say(f"{layer}, float16 NHWC: cuDNN {pool.submit(cudnn, *layer).result():.1f} us")
            except Exception as error:  # it may be absent, and the other layers are wanted all the same
                say(f"{layer}: no cuDNN: {error!r}")


if __name__ == "__main__":
    main()
