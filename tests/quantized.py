"""A network and rules in; it quantized, and held to the reference, out."""

from __future__ import annotations

from dataclasses import dataclass

import networks
import numpy as np
from integer_reference import Reference

from corecast.adapters.relax import Conversion, Model, apply, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import Plan, plan
from corecast.plan.integers import Integers, integers
from corecast.quantization import Calibration
from corecast.verify import difference, seeded_inputs


@dataclass(frozen=True)
class Quantized:
    """A network that is prepared, planned and calibrated on two inputs."""

    model: Model
    plan: Plan
    integers: Integers
    calibration: Calibration

    @classmethod
    def of(cls, network: str, rules: str, **weights: np.ndarray) -> Quantized:
        built = networks.model_of(network)
        return cls.of_model(prepare(built.with_main(built.main, {**built.parameters, **weights})), rules)

    @classmethod
    def of_model(cls, model: Model, rules: str) -> Quantized:
        table = survey(model)
        decided = plan(read_recipe(Source("case.rules", rules), table), table)
        found = integers(table, decided.decided("dtype"))
        return cls(model, decided, found, networks.calibrated(model, found))

    def apply(self) -> Conversion:
        return apply(self.plan, self.model, self.calibration)

    def compared(self) -> float:
        """Check that the converted network computes what the reference says on an input that calibration has not seen.

        Returns the distance to the float network in decibels.
        """
        conversion = self.apply()
        inputs = seeded_inputs(self.integers.table.arguments, 7)
        converted = networks.run(conversion.converted, inputs)
        expected = Reference(self.integers, self.calibration, self.model.parameters).run(inputs)
        for have, want in zip(converted, expected, strict=True):
            np.testing.assert_array_equal(have, want)
        found, predicted = conversion.realised, self.plan.predicted
        assert (found.layout_transforms, found.casts) == (predicted.layout_transforms, predicted.casts)
        assert self.plan.integers is not None
        assert found.quantized == len(self.plan.integers.quantized)
        assert found.dequantized == len(self.plan.integers.dequantized)
        return difference(networks.run(self.model, inputs), converted).snr_db
