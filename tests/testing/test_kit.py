"""The tests that every adapter has to pass: our own pass them, and adapters with a fault do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import networks
import numpy as np
import onnx_networks
import pytest

from corecast.adapters.agreement import Realised, RealisedError
from corecast.adapters.door import Adapter, Conversion, Pass, find_adapter
from corecast.adapters.onnx import Model as OnnxModel
from corecast.adapters.onnx import runner
from corecast.adapters.onnx.adapter import OnnxAdapter
from corecast.adapters.onnx.emulate import emulate
from corecast.adapters.relax import Model as RelaxModel
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.testing import AdapterTests

NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[2,3,8,8] image, float[8,3,3,3] w, float[8,8,3,3] w1, float[8,5] w2) => (float[2,5] classes)
{
    [stem] a = Conv(image, w)
    [stem_relu] b = Relu(a)
    [body] c = Conv<pads = [1,1,1,1]>(b, w1)
    [sum] d = Add(b, c)
    [pool] e = GlobalAveragePool(d)
    [flat] f = Flatten(e)
    [head] classes = MatMul(f, w2)
}
"""


class TestOnnx(AdapterTests):
    adapter = find_adapter("onnx")
    rules = "match nn.conv2d or nn.dense\n  cast float16\n"

    def model(self) -> OnnxModel:
        return onnx_networks.model_of(NETWORK)

    def run(self, model: OnnxModel, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        return runner(emulate(model))(inputs)


LAYERS = """
    image: float32 2x3x8x8
    nn.conv2d#0(image, %stem: float32 8x3x3x3) -> float32 2x8x6x6
    nn.relu#0(nn.conv2d#0) -> float32 2x8x6x6  follows
    nn.conv2d#1(nn.relu#0, %body: float32 8x8x3x3) padding=[1, 1, 1, 1] -> float32 2x8x6x6
    add#0(nn.relu#0, nn.conv2d#1) -> float32 2x8x6x6  follows
    return add#0
"""


class TestRelax(AdapterTests):
    adapter = find_adapter("relax")
    rules = "match nn.conv2d\n  set layout NHWC\n  cast float16 -> float32\n"

    def model(self) -> RelaxModel:
        return networks.model_of(LAYERS)

    def run(self, model: RelaxModel, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        return networks.run(model, inputs)


# ── what the kit is there to find ────────────────────────────────────────────────────────────────────────────────────


class Renumbering(OnnxAdapter):
    """Calls its layers otherwise whenever it is asked."""

    def __init__(self) -> None:
        self.asked = count()

    def survey(self, model: OnnxModel) -> LayerTable:
        table = super().survey(model)
        turn = next(self.asked)
        layers = tuple(replace(layer, source=f"{layer.source}_{turn}") for layer in table.layers)
        return table.model_copy(update={"layers": layers})


class Idle(OnnxAdapter):
    """Converts nothing."""

    def compile(self, plan: Plan) -> list[Pass[OnnxModel]]:  # noqa: ARG002
        return []

    def apply(self, plan: Plan, model: OnnxModel) -> Conversion[OnnxModel]:
        return Adapter.apply(self, plan, model)


class Credulous(Idle):
    """Converts nothing, and says that it did."""

    def realised(self, plan: Plan, before: LayerTable, after: LayerTable) -> Realised:  # noqa: ARG002
        return Realised(layers=len(plan.layers), layout_transforms=0, casts=0)


class Greedy(OnnxAdapter):
    """Casts what was skipped too."""

    def apply(self, plan: Plan, model: OnnxModel) -> Conversion[OnnxModel]:
        table = self.survey(model)
        all_of_it = onnx_networks.planned(TestOnnx.rules, table)
        done = super().apply(all_of_it, model)
        return replace(done, plan=plan)


class Trusting(OnnxAdapter):
    """Carries out whatever it is given."""

    def apply(self, plan: Plan, model: OnnxModel) -> Conversion[OnnxModel]:
        before = self.survey(model)
        layers = tuple(replace(layer, hash=before.by_id[layer.id].hash) for layer in plan.layers)
        return super().apply(plan.model_copy(update={"layers": layers}), model)


class Sloppy(OnnxAdapter):
    """Gets a weight wrong."""

    def apply(self, plan: Plan, model: OnnxModel) -> Conversion[OnnxModel]:
        done = super().apply(plan, model)
        wrong = {"w1": lambda: done.original.array("w1").astype(np.float16)[::-1]}
        return replace(done, converted=replace(done.converted, late=wrong))


@pytest.mark.parametrize(
    ("faulty", "found_by"),
    [
        (Renumbering, "test_a_model_has_the_same_layers_whenever_it_is_surveyed"),
        (Idle, "test_what_was_decided_is_read_back_from_the_result"),
        (Idle, "test_the_passes_have_names_and_print_what_they_do"),
        (Credulous, "test_what_was_decided_is_read_back_from_the_result"),
        (Greedy, "test_a_skipped_layer_stays_as_it_was"),
        (Greedy, "test_what_no_rule_names_is_as_it_was"),
        (Trusting, "test_a_plan_for_another_model_is_refused"),
        (Sloppy, "test_the_numbers_are_kept"),
    ],
)
def test_a_fault_is_found(faulty: type[OnnxAdapter], found_by: str) -> None:
    """Each of these adapters is sound but for one thing."""
    tests = TestOnnx()
    tests.adapter = faulty()  # type: ignore[misc]
    with pytest.raises((AssertionError, RealisedError, pytest.fail.Exception)):
        getattr(tests, found_by)()
