"""Where the time of a MetaSchedule search goes: each of its parts alone, TVM's way beside ours, on this machine.

`python tests/bench/search_time.py cuda:sm_90a` on a machine with a GPU, `... llvm` on one without. It needs no network,
writes nothing but what it prints, and begins no whole search after `--limit` seconds. Each line has the seconds since
the start, what was done, and how long it took.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import os
import pstats
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

START = perf_counter()
BATCH, SIZE, CHANNELS = 32, 14, 256


def say(text: str) -> None:
    print(f"{perf_counter() - START:6.1f}  {text}", flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = perf_counter()
    try:
        yield
        say(f"{what}: {perf_counter() - start:.2f} s")
    except Exception as error:  # the other parts are wanted all the same
        say(f"{what}: failed after {perf_counter() - start:.2f} s: {(str(error).splitlines() or ['?'])[-1]}")


def in_processes(count: int, code: str) -> None:
    """Run a program in so many processes at once, and print what each of them says about itself, as a median."""

    def one(_: int) -> float:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    with ThreadPoolExecutor(count) as pool:
        times = list(pool.map(one, range(count)))
    say(f"    inside the processes: median {median(times):.2f} s, worst {max(times):.2f} s")


TVM = "from time import perf_counter as t; a = t(); import tvm; print(t() - a)"
INTRINSICS = "from time import perf_counter as t; import tvm; a = t(); import tvm.s_tir.tensor_intrin; print(t() - a)"


def kernel(dtype: str) -> Any:
    """A convolution of ResNet-50: 3x3, 256 channels, 14x14, NHWC."""
    from tvm import relax
    from tvm.ir import IRModule

    x = relax.Var("x", relax.TensorType((BATCH, SIZE, SIZE, CHANNELS), dtype))
    w = relax.Var("w", relax.TensorType((CHANNELS, 3, 3, CHANNELS), dtype))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w]):
        with builder.dataflow():
            layouts = {"data_layout": "NHWC", "kernel_layout": "OHWI", "out_dtype": "float32"}
            out = builder.emit_output(relax.op.nn.conv2d(x, w, padding=1, **layouts))
        builder.emit_func_output(out)
    legal = relax.transform.LegalizeOps()(builder.get())
    (function,) = (each for var, each in legal.functions_items() if var.name_hint == "conv2d")
    return IRModule({"main": function.with_attr("global_symbol", "main")})


def profile_intrinsics() -> None:
    """Import the intrinsics here, and print the ten functions that most of it is spent in."""
    profile = cProfile.Profile()
    with timed("import of all tensor intrinsics in this process, profiled"):
        profile.runcall(__import__, "tvm.s_tir.tensor_intrin")
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(14)
    for line in text.getvalue().splitlines()[6:]:
        if line.strip():
            say(f"    {line.strip()[:150]}")


def stored_intrinsics() -> None:
    """How long the same intrinsics take from JSON, in a process that parses none."""
    import tempfile

    import tvm
    from tvm.s_tir import TensorIntrin

    names = [
        f"wmma_{what}"
        for what in (
            "sync_16x16x16_f16f16f32",
            "load_16x16x16_f16_a_shared_dyn",
            "load_16x16x16_f16_b_shared_dyn",
            "fill_16x16x16_f32",
            "store_16x16x16_f32_shared_dyn",
        )
    ]
    found = [each for each in (TensorIntrin.get(name, allow_missing=True) for name in names) if each is not None]
    with tempfile.TemporaryDirectory() as folder:
        for number, each in enumerate(found):
            for part in ("desc", "impl"):
                text = tvm.ir.save_json(getattr(each, part))
                with open(f"{folder}/{number}.{part}", "w", encoding="utf-8") as file:
                    file.write(text)
        with timed(f"{len(found)} intrinsics of one group from JSON"):
            for number in range(len(found)):
                for part in ("desc", "impl"):
                    with open(f"{folder}/{number}.{part}", encoding="utf-8") as file:
                        tvm.ir.load_json(file.read())


def context(module: Any, chip: Any, kind: str, strategy: Any) -> Any:
    """A `TuneContext` without the Python constructor, which imports the intrinsics."""
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule import _ffi_api
    from tvm.s_tir.meta_schedule.logging import get_logging_func

    class Context(ms.TuneContext):  # type: ignore[misc]
        def __init__(self) -> None:
            import logging

            space = ms.space_generator.PostOrderApply(
                sch_rules=ms.ScheduleRule.create(kind),
                postprocs=ms.Postproc.create(kind),
                mutator_probs=ms.Mutator.create(kind),
            )
            logger = get_logging_func(logging.getLogger("search"))
            workers = os.cpu_count() or 1
            self.__init_handle_by_constructor__(
                _ffi_api.TuneContext, module, chip, space, strategy, "conv", workers, 42, logger
            )
            _ffi_api.TuneContextInitialize(self)

    return Context()


def small() -> Any:
    """The evolutionary search of `corecast tune`; TVM's own breeds 512 over four generations."""
    from tvm.s_tir import meta_schedule as ms

    return ms.search_strategy.EvolutionarySearch(
        population_size=64,
        init_measured_ratio=0.2,
        init_min_unmeasured=16,
        genetic_num_iters=1,
        genetic_max_fail_count=10,
    )


def candidates(made: Any, spaces: Any, count: int, model: Any) -> list[Any]:
    """The first candidates of a search."""
    from tvm.s_tir import meta_schedule as ms

    strategy = made.search_strategy
    strategy.pre_tuning(64, count, spaces, ms.database.MemoryDatabase(), model)
    found = strategy.generate_measure_candidates()
    strategy.post_tuning()
    return list(found or [])


def evaluators() -> dict[str, Any]:
    from tvm.s_tir import meta_schedule as ms

    return {
        "TVM's way (3 times, each at least 100 ms)": ms.runner.EvaluatorConfig(number=3, repeat=1, min_repeat_ms=100),
        "ours (at least 20 ms, three times)": ms.runner.EvaluatorConfig(number=1, repeat=3, min_repeat_ms=20),
    }


def whole(make: Callable[[], Any], trials: int, builder: Any, runner: Any) -> None:
    """A search from the beginning to its end, with MetaSchedule's own account of where its time went."""
    import tempfile

    from tvm.s_tir import meta_schedule as ms

    with ms.Profiler() as profiler, timed(f"whole search of {trials} trials"), tempfile.TemporaryDirectory() as folder:
        ms.tune_tasks(
            tasks=[make()],
            task_weights=[1.0],
            work_dir=folder,
            max_trials_global=trials,
            num_trials_per_iter=16,
            builder=builder,
            runner=runner,
            database=ms.database.MemoryDatabase(),
            cost_model=ms.cost_model.RandomModel(),
        )
    for line in str(profiler.table()).splitlines():
        if line.strip():
            say(f"    {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="llvm, or cuda:sm_90a and the like")
    parser.add_argument("--limit", type=float, default=220.0, help="seconds after which no further part begins")
    parser.add_argument("--trials", type=int, default=64)
    options = parser.parse_args()
    os.environ.setdefault("TVM_BACKTRACE", "1")
    cores = os.cpu_count() or 1
    say(f"{cores} cores, Python {sys.version.split()[0]}, target {options.target}")

    with timed("a process that imports TVM"):
        in_processes(1, TVM)
    with timed(f"{cores} processes that import TVM"):
        in_processes(cores, TVM)
    with timed(f"{cores} processes that also import all tensor intrinsics, as TVM's builder has for each round"):
        in_processes(cores, INTRINSICS)
    profile_intrinsics()
    stored_intrinsics()

    import tvm
    from tvm.s_tir import meta_schedule as ms

    from corecast.backends.host import tvm_target
    from corecast.backends.measuring import Builder
    from corecast.model import find_target

    chip = tvm_target(find_target(options.target))
    gpu = chip.kind.name == "cuda"
    kind = "cuda-tensorcore" if gpu else "llvm"
    module = kernel("float16" if gpu else "float32")
    with timed("TuneContext by TVM's constructor, intrinsics imported already"):
        ms.TuneContext(module, target=chip, space_generator="post-order-apply", task_name="conv")
    made = context(module, chip, kind, small())
    with timed("design space"):
        spaces = made.generate_design_space()
        say(f"    {len(spaces)} sketches")
    models: dict[str, Callable[[], Any]] = {"random order": ms.cost_model.RandomModel}
    try:
        import xgboost  # noqa: F401 - it may be absent, and then TVM's default model is too

        models["xgboost"] = ms.cost_model.XGBModel
    except ImportError:
        say("xgboost is not installed: TVM's default cost model cannot be timed")
    found: list[Any] = []
    for name, model in models.items():
        with timed(f"16 candidates, population 64 for one generation, {name}"):
            found = candidates(made, spaces, 16, model()) or found
        with timed(f"16 candidates, TVM's population of 512 for four generations, {name}"):
            candidates(context(module, chip, kind, ms.search_strategy.EvolutionarySearch()), spaces, 16, model())

    codes = [each.sch.mod for each in found]
    for mode in ("nvcc", "nvrtc") if gpu else ("",):
        os.environ["TVM_CUDA_COMPILE_MODE"] = mode
        with timed(f"one candidate compiled in this process {mode}"):
            tvm.tirx.build(codes[0], target=chip)
    os.environ["TVM_CUDA_COMPILE_MODE"] = "nvcc"
    inputs = [ms.builder.BuilderInput(code, chip) for code in codes]
    ours, good = Builder(cores), []
    for name, builder in (("ours, first round", ours), ("ours, second round", ours), ("TVM's", None)):
        with timed(f"{len(codes)} candidates compiled, {name}"):
            # TVM's checks itself by starting all its processes; that belongs to it.
            built = (builder or ms.builder.LocalBuilder(max_workers=cores, timeout_sec=120.0)).build(inputs)
            errors = [str(each.error_msg) for each in built if each.error_msg is not None]
            say(f"    {len(errors)} failed{': ' + errors[0].splitlines()[-1] if errors else ''}")
            if builder:
                good = [each for each in built if each.error_msg is None]
    arguments = found[0].args_info
    device = "cuda" if gpu else "cpu"
    for name, config in evaluators().items():
        runner = ms.runner.LocalRunner(timeout_sec=60.0, evaluator_config=config)
        with timed(f"{len(good)} candidates run one after another, {name}"):
            futures = [runner.run([ms.runner.RunnerInput(each.artifact_path, device, arguments)])[0] for each in good]
            results = [future.result() for future in futures]
            times = [float(min(each.run_secs)) * 1e6 for each in results if each.error_msg is None]
            say(f"    best {min(times):.1f} us, {len(results) - len(times)} failed")

    if perf_counter() - START < options.limit:
        runner = ms.runner.LocalRunner(timeout_sec=60.0, evaluator_config=list(evaluators().values())[1])
        whole(lambda: context(module, chip, kind, small()), options.trials, ours, runner)
    ours.close()
    say("done")


if __name__ == "__main__":
    main()
