"""`corecast bench`: what it measures of a tuned bundle, what it draws, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest

from corecast.adapters.bundle import STORE
from corecast.adapters.relax import read_bundle
from corecast.api.benchmark import FEWEST, in_turns
from corecast.api.cli import main
from corecast.backends import Records, workloads
from corecast.backends.pipeline import legalized
from corecast.backends.schedules import family_for
from corecast.backends.schedules.stored import Chosen
from corecast.model import find_target
from corecast.report.benchmark import Benchmark, Contender, Kernel, Times, summary
from corecast.report.drawing import svg

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[2,3,16,16] image) => (float[2,10] scores)
{
    stem_shape = Constant<value = int64[4] {16,3,3,3}>()
    body_shape = Constant<value = int64[4] {32,16,3,3}>()
    fc_shape = Constant<value = int64[2] {32,10}>()
    flat_shape = Constant<value = int64[2] {2,32}>()
    stem_weight = ConstantOfShape(stem_shape)
    body_weight = ConstantOfShape(body_shape)
    fc_weight = ConstantOfShape(fc_shape)
    [stem] a = Conv<pads = [1,1,1,1]>(image, stem_weight)
    [stem_relu] b = Relu(a)
    [body] c = Conv<pads = [1,1,1,1]>(b, body_weight)
    [pool] d = GlobalAveragePool(c)
    [flat] e = Reshape(d, flat_shape)
    [fc] scores = MatMul(e, fc_weight)
}
"""
RULES = "match nn.conv2d #1, set layout NHWC, tune tensorcore trials 1\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with one layer that may be tuned."""
    folder = tmp_path_factory.mktemp("bench")
    onnx.save(onnx.parser.parse_model(NETWORK), folder / "network.onnx")
    (folder / "case.rules").write_text(RULES, encoding="utf-8")
    command = ["apply", folder / "case.rules", folder / "network.onnx", "-o", folder / "bundle"]
    assert main([*map(str, command), "--weights", "random:0"]) == 0
    return folder / "bundle"


@pytest.fixture
def tuned(bundle: Path) -> Iterator[Path]:
    """The bundle with what a schedule family would try first on record, as if it had been measured."""
    folder, target = bundle / "records", find_target("llvm")
    module = read_bundle(bundle).model.module
    records = Records.create(folder / STORE, target)
    for workload in workloads(module, legalized(module, target)).values():
        if not isinstance(family := family_for(workload, target), str):
            knobs = dict(family.first_guess(workload, target))
            records.put(workload, Chosen(family=family.name, version=family.version, knobs=knobs), 1e-6, 1e-5)
    yield bundle
    shutil.rmtree(folder)


def bench(capsys: pytest.CaptureFixture[str], bundle: Path, *arguments: str) -> Benchmark:
    capsys.readouterr()
    assert main(["bench", str(bundle), "--json", "--repeats", "3", *arguments]) == 0
    return Benchmark.model_validate_json(capsys.readouterr().out)


def test_a_bundle_is_measured_with_its_layers(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing is tuned yet, so there is nothing to compare with; kernels that TVM makes itself (a reshape) are none."""
    found = bench(capsys, bundle)
    assert [each.name for each in found.contenders] == ["bundle"]
    assert found.best.times.least <= found.best.times.median <= found.best.times.most
    layers = [layer for kernel in found.kernels for layer in kernel.layers]
    assert layers.count("nn.conv2d#1") == layers.count("nn.dense#0") == 1
    assert "reshape#0" not in layers
    assert found.weights_bytes == 4 * (16 * 3 * 9 + 32 * 16 * 9 + 32 * 10)
    body = next(kernel for kernel in found.kernels if "nn.conv2d#1" in kernel.layers)
    assert body.flops is not None
    assert body.flops >= 2 * 2 * 32 * 16 * 16 * 16 * 9
    assert body.untuned is None
    assert body.of_peak is not None


def test_a_tuned_bundle_is_measured_beside_itself_and_others(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """One kernel is tuned; all of them have a time before; the drawing has two bars for each."""
    found = bench(capsys, tuned, "--against", "onnxruntime", "--plot", str(tmp_path / "kernels.svg"))
    assert [each.name for each in found.contenders] == ["bundle", "untuned", "onnxruntime"]
    assert [kernel.layers for kernel in found.kernels if kernel.tuned] == [("nn.conv2d#1",)]
    assert all(kernel.untuned for kernel in found.kernels)
    drawing = ElementTree.parse(tmp_path / "kernels.svg")
    bars = drawing.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 1 + 2 + 2 * len(found.kernels)  # the ground, the legend, two each


def test_damaged_records_are_no_fault_of_the_bench(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """They are named; the bundle without them would still run."""
    records = bundle / "records"
    records.mkdir()
    (records / STORE).write_bytes(b"no database at all, but long enough to look like one" * 20)
    try:
        assert main(["bench", str(bundle)]) == 2
        assert STORE in capsys.readouterr().err
    finally:
        shutil.rmtree(records)


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["--target", "cuda:sm_90a"], "no-device"),
        (["--target", "llvm:neoverse-n1"], "cannot-run-here"),
        (["--target", "cuda:sm_91"], "unknown-target"),
        (["--plot", "bundle/plan.yaml"], "output-exists"),
    ],
)
def test_what_cannot_be_measured_here_is_refused(
    bundle: Path,
    arguments: list[str],
    slug: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """A target that is not here, one that nobody knows, a drawing in the place of something else."""
    monkeypatch.chdir(bundle.parent)
    monkeypatch.setattr("corecast.backends.pipeline.device_arch", lambda: None)
    assert main(["bench", str(bundle), *arguments]) == 2
    assert f"error[{slug}]" in capsys.readouterr().err


def test_an_original_that_is_gone_is_told(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """The bundle itself does not need it; ONNX Runtime does."""
    original = bundle.parent / "network.onnx"
    moved = original.rename(bundle.parent / "elsewhere.onnx")
    try:
        assert main(["bench", str(bundle), "--against", "onnxruntime"]) == 2
        assert "network.onnx" in capsys.readouterr().err
    finally:
        moved.rename(original)


def test_contenders_take_turns_and_a_slow_one_fewer(monkeypatch: pytest.MonkeyPatch):
    """What else the machine does meets all alike; nobody waits an hour for ten runs of a slow one."""
    now, order = 0.0, []

    def takes(name: str, seconds: float) -> object:
        def run() -> None:
            nonlocal now
            now += seconds
            order.append(name)

        return run

    monkeypatch.setattr("corecast.api.benchmark.perf_counter", lambda: now)
    found = in_turns({"fast": takes("fast", 0.5), "slow": takes("slow", 30.0)}, repeats=5)
    assert found == {"fast": pytest.approx([0.5] * 5), "slow": pytest.approx([30.0] * FEWEST)}
    assert order[2:8] == ["fast", "slow"] * 3


def test_a_drawing_has_one_scale_and_names_with_any_character():
    """The longest bar fills the width; a name is text, whatever stands in it."""
    root = ElementTree.fromstring(svg(found("m & n")))
    widths = [float(bar.get("width", "")) for bar in root.findall(".//{http://www.w3.org/2000/svg}rect")][3:]
    assert widths[0] == 2 * widths[1] == 4 * widths[2]
    assert "m & n" in "".join(root.itertext())


def test_what_stays_untuned_is_told():
    """The other kernels get TVM's default schedule, and the reader learns what that costs."""
    assert "untuned kernels take 33% of the run, most of it nn.dense#0 (33%)" in summary(found("model"))


def found(model: str) -> Benchmark:
    """A benchmark of two kernels, one of them tuned."""
    return Benchmark(
        bundle="bundle",
        model=model,
        target="llvm",
        arch="cascadelake",
        tvm="0.27.0",
        threads=1,
        load=0.0,
        contenders=(Contender(name="bundle", what="", times=times(75)),),
        kernels=(
            kernel("a<b", "nn.conv2d#0", times(50), times(100)),
            kernel("c", "nn.dense#0", times(25), None),
        ),
        flops=None,
        peak_gflops=None,
        peak_how=None,
        weights_bytes=0,
        storage_bytes=0,
    )


def kernel(name: str, layer: str, after: Times, before: Times | None) -> Kernel:
    return Kernel(
        name=name,
        layers=(layer,),
        calls=1,
        tuned=before is not None,
        flops=None,
        times=after,
        untuned=before,
        of_peak=None,
    )


def times(median: float) -> Times:
    return Times(median=median, least=median, most=median, runs=3)
