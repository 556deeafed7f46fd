"""A bundle in, a benchmark out: the bundle as it is, untuned, and others take turns on the same inputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.relax import Bundle, BundleError, survey
from corecast.adapters.source import ModelError
from corecast.api.conversion import records_of
from corecast.api.options import UsageError
from corecast.backends import Runner, build
from corecast.backends.attribution import layers_of_calls
from corecast.backends.host import cores, gpus, host_arch
from corecast.backends.peak import HOW, peak
from corecast.backends.profile import Profile, profile
from corecast.backends.schedules.placed import PREFIX
from corecast.lang import Problem
from corecast.model import Layer, LayerTable, Target
from corecast.report import Reporter
from corecast.report.benchmark import Benchmark, Contender, Kernel, Times
from corecast.verify import inputs_for

Array = NDArray[np.generic]
Run = Callable[[], object]

BUNDLE, UNTUNED, ONNXRUNTIME = "bundle", "untuned", "onnxruntime"

# A slow contender runs no longer than this altogether, and three times at least; a fast one fills so much of a sample.
MOST_SECONDS, FEWEST, SAMPLE_SECONDS = 20.0, 3, 0.02

# Clocks around every kernel are for shares, not for totals: so many runs will do, and one of a slow contender.
MOST_PROFILED = 5


def bench_bundle(
    bundle: Bundle, target: Target, *, repeats: int, against: str | None, seed: int, reporter: Reporter
) -> Benchmark:
    """Build a bundle and measure it.

    Args:
        bundle: what `read_bundle` returned.
        target: which this machine must be.
        repeats: how many times each contender runs; slow ones less often.
        against: `onnxruntime`, or nobody.
        seed: of the inputs.
        reporter: told what is being done.

    Raises:
        BuildError: where the target is not here, or TVM cannot compile the module.
        UsageError: where there is nothing to compare with.
    """
    load, model, table = os.getloadavg()[0], bundle.model, survey(bundle.model)
    inputs = inputs_for(table, seed)
    other = _in_onnxruntime(bundle, inputs) if against else None
    with reporter.step(f"build {bundle.path}"):
        executable = build(model.module, target, records_of(bundle, target))
        runners = {BUNDLE: Runner(executable, model.parameters)}
        if executable.tuned:
            runners[UNTUNED] = Runner(build(model.module, target), model.parameters)
    what = {
        BUNDLE: f"TVM, {len(executable.tuned)} of {len(executable.kernels)} kernels tuned",
        UNTUNED: "TVM, default schedules",
    }
    runs: dict[str, Run] = {name: runner.loaded(*inputs.values()) for name, runner in runners.items()}
    if against and other:
        runs[against] = other
        what[against] = f"ONNX Runtime {version('onnxruntime')}, the original, all optimizations"
    with reporter.step(f"run {', '.join(runs)} in turns"):
        times = {name: Times.of(seconds) for name, seconds in in_turns(runs, repeats).items()}
    with reporter.step("time each kernel"):
        profiles = {
            name: profile(runner, list(inputs.values()), _profiled(times[name], repeats))
            for name, runner in runners.items()
        }
    with reporter.step("measure the machine's peak"):
        most = peak(target)
    tuned = frozenset(executable.tuned)
    kernels = _kernels(layers_of_calls(model.module, target), profiles, tuned, table, most)
    flops = [layer.flops for layer in table.layers]
    return Benchmark(
        bundle=str(bundle.path),
        model=bundle.report.model,
        target=target.name,
        arch=_arch(target),
        tvm=version("apache-tvm"),
        threads=cores(),
        load=load,
        contenders=tuple(Contender(name=name, what=what[name], times=times[name]) for name in runs),
        kernels=tuple(kernels),
        flops=None if None in flops else sum(flop for flop in flops if flop),
        peak_gflops=None if most is None else most / 1e9,
        peak_how=None if most is None else HOW,
        weights_bytes=sum(array.nbytes for array in model.parameters.values()),
        storage_bytes=profiles[BUNDLE].storage,
    )


def in_turns(runs: Mapping[str, Run], repeats: int) -> dict[str, list[float]]:
    """The seconds of each run, after one that does not count; what else the machine does meets all of them alike."""
    often = {}
    for name, run in runs.items():
        first = _seconds(run, 1)
        often[name] = 1 if first > SAMPLE_SECONDS else max(1, int(SAMPLE_SECONDS / _seconds(run, 1)))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            if len(seconds[name]) < FEWEST or sum(seconds[name]) * often[name] < MOST_SECONDS:
                seconds[name].append(_seconds(run, often[name]))
    return seconds


def _seconds(run: Run, often: int) -> float:
    """The time of one run, as the mean of several that are too short to be timed alone."""
    begun = perf_counter()
    for _ in range(often):
        run()
    return (perf_counter() - begun) / often


def _profiled(times: Times, repeats: int) -> int:
    return 1 if times.median * MOST_PROFILED > MOST_SECONDS * 1e6 else min(repeats, MOST_PROFILED)


def _kernels(
    calls: Sequence[tuple[str, tuple[str, ...]]],
    profiles: Mapping[str, Profile],
    tuned: frozenset[str],
    table: LayerTable,
    most: float | None,
) -> Iterator[Kernel]:
    """Calls of one kernel together."""
    found = profiles[BUNDLE]
    names = [name.removeprefix(PREFIX) for name in found.kernels]
    sources = _aligned(names, calls)
    by_source = {layer.source or layer.id: layer for layer in table.layers}
    for name in dict.fromkeys(names):
        places = [place for place, other in enumerate(names) if other == name]
        layers = [by_source[source] for place in places for source in sources[place] if source in by_source]
        flops = [layer.flops for layer in layers]
        known = None if None in flops or not flops else sum(flop for flop in flops if flop)
        times = _summed(found, places)
        wide = all(operand.type.dtype == "float32" for layer in layers for operand in layer.operands)
        yield Kernel(
            name=name,
            layers=tuple(layer.id for layer in sorted(layers, key=_weight_first)),
            calls=len(places),
            tuned=name in tuned,
            flops=known,
            times=times,
            untuned=_summed(profiles[UNTUNED], places) if UNTUNED in profiles else None,
            of_peak=known / (times.median / 1e6) / most if known and most and wide else None,
        )


def _weight_first(layer: Layer) -> tuple[bool, str, int]:
    """What a kernel is about, before what only follows it."""
    return (layer.operator is None and layer.op != "matmul", layer.op, layer.ordinal)


def _aligned(names: Sequence[str], calls: Iterable[tuple[str, tuple[str, ...]]]) -> list[tuple[str, ...]]:
    """The layers of each call that a run made, of those that `main` states: TVM makes some, such as reshapes, itself.

    Without any where a run makes calls in another order, as the branches of an `If` do.
    """
    stated, found = iter(calls), []
    for name in names:
        layers = next((layers for other, layers in stated if other == name), None)
        if layers is None:
            return [()] * len(names)
        found.append(layers)
    return found


def _summed(profile: Profile, places: Sequence[int]) -> Times:
    """The times of several calls together, run by run."""
    return Times.of([sum(each) for each in zip(*(profile.seconds[place] for place in places), strict=True)])


def _in_onnxruntime(bundle: Bundle, inputs: Mapping[str, Array]) -> Run:
    """The original in ONNX Runtime, with its optimizations and as many threads. Raises `UsageError`, `BundleError`."""
    if find_spec("onnxruntime") is None:
        message = "ONNX Runtime is not installed"
        raise UsageError(Problem("not-installed", message, help="pip install 'corecast[onnxruntime]'"))
    from corecast.adapters.onnx import load
    from corecast.adapters.onnx.runtime import optimized

    origin = bundle.report.origin
    if origin is None or not origin.path.endswith(".onnx"):
        message = "the bundle was not made from an ONNX file, and ONNX Runtime runs nothing else"
        raise UsageError(Problem("no-original", message, help="leave `--against` away", place=str(bundle.path)))
    try:
        original = load(origin.path, weights=origin.weights, shapes=origin.shapes)
    except ModelError as error:
        raise error.within(origin.path) from error
    if original.origin is None or original.origin().sha256 != origin.sha256:
        message = f"this is not the file that {bundle.path} was made from"
        help = f"its digest should be {origin.sha256}"
        raise BundleError(Problem("another-original", message, help=help, place=origin.path))
    run = optimized(original, cores())
    given = dict(zip(original.inputs, inputs.values(), strict=True))
    return lambda: run(given)


def _arch(target: Target) -> str:
    if target.kind == "cuda":
        return next((f"{gpu.name}, {gpu.arch}" for gpu in gpus()), str(target.arch))
    return target.arch or host_arch() or "TVM's baseline"
