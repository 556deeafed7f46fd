"""The networks of all folds in, what they answer on the images that they have not seen out: as they are, and converted.

Corecast's int8 and ONNX Runtime's static quantization are calibrated on the same 512 images, which the network was
trained on. TVM's untuned code runs what Corecast makes; ONNX Runtime runs the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization

from corecast.adapters.relax import Model, apply, load, prepare, survey
from corecast.api import calibrate, plan, read_recipe
from corecast.backends import Runner, build
from corecast.lang import Source
from corecast.model import LayerTable, find_target
from corecast.plan import Plan
from digits.data import FOLDS, Images, all_images, fold
from digits.network import onnx_model, weights_of

# As many images are run together.
BATCH = 64
CALIBRATED_ON = 512

# What `quantize` is not.
HARD_CAST = "match nn.conv2d or nn.dense, cast int8 -> int32"

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """The network of a fold, and the images that it was calibrated on and is judged by."""

    number: int
    proto: onnx.ModelProto
    known: Images
    unseen: Images

    def __hash__(self) -> int:
        return self.number

    @property
    def model(self) -> Model:
        return _prepared(self)


@cache
def networks() -> tuple[Trained, ...]:
    """One for each fold; their unseen images together are all that there are."""
    images = all_images()
    folds = [fold(images, number) for number in range(FOLDS)]
    return tuple(
        Trained(number, onnx_model(weights_of(number), BATCH), seen[slice(CALIBRATED_ON)], unseen)
        for number, (seen, unseen) in enumerate(folds)
    )


@cache
def _prepared(network: Trained) -> Model:
    with TemporaryDirectory() as folder:
        path = Path(folder, "digits.onnx")
        onnx.save(network.proto, path)
        return prepare(load(path))


# ── what the networks answer ─────────────────────────────────────────────────────────────────────────────────────────


@cache
def in_float(network: Trained) -> Logits:
    """What the network answers as it is."""
    return _run_by_onnxruntime(network.proto, network.unseen)


def by_corecast(network: Trained, rules: str, method: str | None = None) -> Logits:
    """What it answers as the rules have it, calibrated by a method where they quantize."""
    decided, _ = planned(network, rules)
    found = calibrate(decided, network.model, [network.known.pixels], method=method) if method else None
    converted = apply(decided, network.model, found).converted
    runner = Runner(build(converted.module, find_target("llvm")), converted.parameters)
    return _in_batches(lambda pixels: runner(pixels)[0], network.unseen)


def planned(network: Trained, rules: str) -> tuple[Plan, LayerTable]:
    table = survey(network.model)
    return plan(read_recipe(Source("digits.rules", rules), table), table), table


def by_onnxruntime(network: Trained, activations: str, method: str) -> Logits:
    """What ONNX Runtime's static quantization answers, with int8 weights by output channel.

    Args:
        network: as it was trained.
        activations: `uint8`, or `int8`, which is symmetric.
        method: `MinMax`, `Percentile` or `Entropy`, at their defaults.
    """
    with TemporaryDirectory() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(network.proto, before)
        quantization.quantize_static(
            before,
            after,
            _Batches(network.known),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=getattr(quantization.QuantType, f"Q{activations.replace('int', 'Int')}".replace("u", "U")),
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[method],
            extra_options={"ActivationSymmetric": activations == "int8"},
        )
        return _run_by_onnxruntime(onnx.load(after), network.unseen)


class _Batches(quantization.CalibrationDataReader):
    """Images as ONNX Runtime's calibration asks for them."""

    def __init__(self, images: Images) -> None:
        self._parts: Iterator[NDArray[np.float32]] = iter(np.split(images.pixels, len(images) // BATCH))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        part = next(self._parts, None)
        return None if part is None else {"image": part}


def _run_by_onnxruntime(proto: onnx.ModelProto, images: Images) -> Logits:
    logging.getLogger().setLevel(logging.ERROR)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return _in_batches(lambda pixels: session.run(None, {"image": pixels})[0], images)


def _in_batches(run, images: Images) -> Logits:
    parts = (images.pixels[start : start + BATCH] for start in range(0, len(images), BATCH))
    return np.concatenate([run(np.resize(part, (BATCH, *part.shape[1:])))[: len(part)] for part in parts])


# ── how right that is ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Score:
    """How many of all images were read right by the network that had not seen them, and how near the logits are.

    `snr` is the signal-to-noise ratio of the logits against those in float, in decibels: the mean over the folds.
    """

    right: int
    images: int
    snr: float

    @property
    def accuracy(self) -> float:
        return self.right / self.images


def score(answers: dict[Trained, Logits]) -> Score:
    """Judge the answers of the networks of all folds, or of some."""
    right = sum(int((logits.argmax(1) == network.unseen.digits).sum()) for network, logits in answers.items())
    ratios = [_snr(in_float(network), logits) for network, logits in answers.items()]
    return Score(right, sum(len(network.unseen) for network in answers), float(np.mean(ratios)))


def _snr(reference: Logits, other: Logits) -> float:
    noise = float(((reference - other).astype(np.float64) ** 2).sum())
    return 10 * np.log10(float((reference.astype(np.float64) ** 2).sum()) / noise) if noise else np.inf
