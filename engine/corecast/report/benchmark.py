"""What a benchmark measured, as data, and as tables for a terminal; `drawing.py` draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from rich.table import Table

from corecast.model.record import Record
from corecast.plan import compress, size_in_memory
from corecast.plan.ids import shorten
from corecast.report.tables import rows_table


class Times(Record):
    """How long runs took, in microseconds: the median, the least and the most of so many."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        each = [second * 1e6 for second in seconds]
        return cls(median=median(each), least=min(each), most=max(each), runs=len(each))

    @property
    def spread(self) -> float:
        """From the least to the most, as a share of the median."""
        return (self.most - self.least) / self.median


class Contender(Record):
    """One way to run the model: `tuned`, `untuned`, `onnxruntime`; and what it is exactly."""

    name: str
    what: str
    times: Times


class Kernel(Record):
    """One kernel with all its calls in a run: the layers that it computes, and its time before and after tuning.

    `flops` are operations of those layers, None where one of them is not known; `of_peak` is their rate as a share of
    the machine's float32 peak, None for other dtypes.
    """

    name: str
    layers: tuple[str, ...]
    calls: int
    tuned: bool
    flops: int | None
    times: Times
    untuned: Times | None
    of_peak: float | None

    @property
    def gflops(self) -> float | None:
        return None if self.flops is None else self.flops / self.times.median / 1e3


class Benchmark(Record):
    """What `bench` found; `contenders` took turns in one process, the bundle as it is first.

    Attributes:
        threads: that TVM and the others had.
        load: the machine's load average when it began; above `threads`, others were at work.
        peak_gflops: of the machine, in float32, measured as `peak_how` says.
        weights_bytes, storage_bytes: of the parameters; of what a run allocates for results.
    """

    bundle: str
    model: str
    target: str
    arch: str
    tvm: str
    threads: int
    load: float
    contenders: tuple[Contender, ...]
    kernels: tuple[Kernel, ...]
    flops: int | None
    peak_gflops: float | None
    peak_how: str | None
    weights_bytes: int
    storage_bytes: int

    @property
    def best(self) -> Contender:
        """The bundle as it is."""
        return self.contenders[0]


def summary(found: Benchmark) -> str:
    """What stands above the tables."""
    lines = [
        f"{found.model} for {found.target} ({found.arch}), TVM {found.tvm}, {found.threads} threads, "
        f"load of the machine {found.load:.1f}",
        f"memory: weights {size_in_memory(found.weights_bytes)}, results {size_in_memory(found.storage_bytes)}",
    ]
    if found.load > found.threads:
        lines.append("others are at work on it: what stands in one table is worth comparing, times of two runs are not")
    if found.peak_gflops:
        lines.append(f"peak: {found.peak_gflops:.0f} GFLOP/s in float32 ({found.peak_how})")
    if found.flops:
        rate = found.flops / found.best.times.median / 1e3
        share = f", {rate / found.peak_gflops:.1%} of the peak" if found.peak_gflops else ""
        lines.append(f"achieved: {rate:.1f} GFLOP/s over the whole run{share}")
    if costs := _untuned(found):
        lines.append(costs)
    return "\n".join(lines)


def _untuned(found: Benchmark) -> str | None:
    """What the kernels cost that have TVM's default schedule beside tuned ones."""
    total = sum(kernel.times.median for kernel in found.kernels)
    rest = [kernel for kernel in found.kernels if not kernel.tuned]
    if len(rest) in (0, len(found.kernels)):
        return None
    most = max(rest, key=lambda kernel: kernel.times.median)
    share = sum(kernel.times.median for kernel in rest) / total
    name = shorten(compress(most.layers)) or most.name
    return f"untuned kernels take {share:.0%} of the run, most of it {name} ({most.times.median / total:.0%})"


def contenders_table(found: Benchmark) -> Table:
    """Who took how long, and how that compares with the bundle as it is."""
    rows = (
        (
            each.name,
            _ms(each.times.median),
            f"{_ms(each.times.least)}–{_ms(each.times.most)}",
            str(each.times.runs),
            f"{each.times.median / found.best.times.median:.2f}x",
            each.what,
        )
        for each in found.contenders
    )
    return rows_table(("", ">median, ms", ">least–most", ">runs", ">time", "what"), rows)


def kernels_table(found: Benchmark) -> Table:
    """Each kernel, the one that takes longest first."""
    columns = (
        "layers",
        "kernel",
        ">calls",
        ">us",
        ">spread",
        ">share",
        ">GFLOP/s",
        ">of peak",
        ">untuned, us",
        ">gain",
    )
    return rows_table(columns, _rows(found))


def _rows(found: Benchmark) -> Iterator[tuple[str, ...]]:
    total = sum(kernel.times.median for kernel in found.kernels)
    for kernel in sorted(found.kernels, key=lambda kernel: -kernel.times.median):
        before = kernel.untuned.median if kernel.untuned else None
        yield (
            shorten(compress(kernel.layers)) or "none of the model's",
            kernel.name + ("" if kernel.tuned else ", untuned"),
            str(kernel.calls),
            f"{kernel.times.median:.0f}",
            f"{kernel.times.spread:.0%}",
            f"{kernel.times.median / total:.0%}",
            "" if kernel.gflops is None else f"{kernel.gflops:.1f}",
            "" if kernel.of_peak is None else f"{kernel.of_peak:.0%}",
            "" if before is None else f"{before:.0f}",
            "" if before is None or not kernel.tuned else f"{before / kernel.times.median:.1f}x",
        )


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1e3:.3g}" if microseconds < 1e5 else f"{microseconds / 1e3:.0f}"
