"""Prints the int8 table of docs/onnx.md, beside ONNX Runtime's quantizer: `python tests/int8_quantizers.py [MODEL]...`

Both get the same file (seeded weights, opset 13, batch norms folded by ONNX Runtime's own preparation, without the
softmax at its end, which would hide errors), the same eight inputs, and are told the same: int8 or uint8 activations by
their smallest and largest value, weights by channel.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from corecast.adapters.calibrate import calibrated
from corecast.adapters.onnx import apply, load, survey, write_model
from corecast.adapters.onnx.observe import observed
from corecast.adapters.onnx.proof import Pair
from corecast.adapters.onnx.softmax import before_softmax
from corecast.adapters.onnx.write import save
from corecast.api import Source, plan, read_recipe
from corecast.verify import difference, inputs_for

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = ("squeezenet", "shufflenet", "resnet50")
KINDS = {"int8": (QuantType.QInt8, True), "uint8": (QuantType.QUInt8, False)}
CALIBRATING, MEASURING, RUNS = range(8), range(100, 105), 5
HEADER = ["model", "activations", "pairs", "MiB", "signal to noise, dB", "largest difference", "ms"]


def main() -> None:
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    print(line(HEADER), line(["---", "---", *["---:"] * 5]), sep="\n")
    for name in sys.argv[1:] or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare(name, Path(folder))
            for kind in KINDS:
                print(line(row(name, prepared, kind)), flush=True)


def prepare(name: str, folder: Path) -> Path:
    """A published graph with seeded weights, in an opset that knows scales by channel, ready to be quantized."""
    save(load(LIGHT / f"light_{name}.onnx", weights="random:0"), folder / "seeded.onnx")
    proto = onnx.load(folder / "seeded.onnx")
    proto.ir_version = 8
    proto = onnx.version_converter.convert_version(proto, 13)
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    onnx.save(proto, folder / "opset13.onnx")
    quant_pre_process(folder / "opset13.onnx", folder / "prepared.onnx", skip_symbolic_shape=True)
    model = load(folder / "prepared.onnx")
    save(before_softmax(model) or model, folder / "ready.onnx")
    return folder / "ready.onnx"


def row(name: str, prepared: Path, kind: str) -> list[str]:
    """Both in a cell, Corecast's number first."""
    made = [make(prepared, kind, prepared.with_name(f"{by}_{kind}.onnx")) for by, make in MAKERS.items()]
    errors = [error(prepared, path) for path in made]
    return [
        name,
        kind,
        both(str(sum(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)) for path in made),
        both(f"{path.stat().st_size / 2**20:.1f}" for path in made),
        both(f"{snr:.1f}" for snr, _ in errors),
        both(f"{largest:.1e}" for _, largest in errors),
        both(f"{milliseconds(path):.0f}" for path in made) + f" (float32: {milliseconds(prepared):.0f})",
    ]


def ours(prepared: Path, kind: str, path: Path) -> Path:
    model = load(prepared)
    table = survey(model)
    decided = plan(read_recipe(Source("int8.rules", f"match nn.conv2d or nn.dense, quantize {kind}")), table)
    data = [inputs_for(table, seed) for seed in CALIBRATING]
    found = calibrated(decided, table, partial(observed, model), data, method="min-max")
    return write_model(apply(decided, model, found), path)


def theirs(prepared: Path, kind: str, path: Path) -> Path:
    activations, is_symmetric = KINDS[kind]
    quantize_static(
        prepared,
        path,
        Samples(prepared),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": is_symmetric},
    )
    return path


MAKERS: dict[str, Callable[[Path, str, Path], Path]] = {"ours": ours, "theirs": theirs}


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """The inputs that both calibrate on, as ONNX Runtime asks for them."""

    def __init__(self, prepared: Path) -> None:
        table = survey(load(prepared))
        self._left = iter([inputs_for(table, seed) for seed in CALIBRATING])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def error(prepared: Path, path: Path) -> tuple[float, float]:
    """Signal to noise and the largest relative difference: medians over inputs that were not calibrated on."""
    pair = Pair.of(load(prepared), load(path))
    found = [
        difference(pair.run_original(inputs), pair.run_converted(inputs))
        for inputs in (pair.inputs(seed) for seed in MEASURING)
    ]
    return median(item.snr_db for item in found), median(item.max_relative for item in found)


def milliseconds(path: Path) -> float:
    """One run as ONNX Runtime optimizes it, on all cores: the median of some."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = inputs_for(survey(load(path)), 0)
    times = list(_times(session, inputs))
    return 1000 * median(times[1:])


def _times(session: onnxruntime.InferenceSession, inputs: dict[str, np.ndarray]) -> Iterator[float]:
    for _ in range(RUNS + 1):
        start = perf_counter()
        session.run(None, inputs)
        yield perf_counter() - start


def both(texts: Iterator[str]) -> str:
    return " / ".join(texts)


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
