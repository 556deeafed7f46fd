"""Two models in, what of them is compared out: their outputs, or what stands before the softmaxes that both end in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

from corecast.adapters.onnx.emulate import emulate, emulated_dtypes
from corecast.adapters.onnx.model import Array, Model
from corecast.adapters.onnx.runtime import runner
from corecast.adapters.onnx.softmax import before_softmax
from corecast.adapters.onnx.survey import survey
from corecast.adapters.proof import Change, Run
from corecast.verify import inputs_for


@dataclass(frozen=True)
class Pair:
    """Two models with the same outputs: those before their softmaxes where both end in such.

    Short floats are carried in float32 and rounded after each node (`emulate`).

    Attributes:
        original, converted: as they were given, or cut before the softmaxes.
        is_cut: whether they are.
        coarse: the dtypes of the original that are rounded after each node.
    """

    original: Model
    converted: Model
    is_cut: bool
    coarse: tuple[str, ...]

    @classmethod
    def of(cls, original: Model, converted: Model, *, whole: bool = False) -> Pair:
        """Two models, cut where both end in softmaxes, unless they are to be compared `whole`."""
        one, other = (None, None) if whole else (before_softmax(original), before_softmax(converted))
        if one and other and len(one.outputs) == len(other.outputs):
            return cls(one, other, True, tuple(emulated_dtypes(one)))
        return cls(original, converted, False, tuple(emulated_dtypes(original)))

    def inputs(self, seed: int) -> Mapping[str, Array]:
        """Seeded inputs that both take. Raises `InputError`."""
        return inputs_for(survey(self.original), seed)

    @cached_property
    def run_original(self) -> Run:
        """The original, ready to run. Raises `CannotRunError`."""
        return runner(emulate(self.original))

    @cached_property
    def run_converted(self) -> Run:
        """The converted model, ready to run. Raises `CannotRunError`."""
        return runner(emulate(self.converted))

    def __str__(self) -> str:
        """What is compared, for the reader."""
        text = "outputs before the softmax" if self.is_cut else "outputs"
        dtypes = sorted({*self.coarse, *emulated_dtypes(self.converted)})
        return f"{text}, {' and '.join(dtypes)} rounded after each node" if dtypes else text


def with_weights(model: Model, changes: Mapping[str, Change]) -> Model:
    """The same model with other values in some initializers, computed when they are asked for."""

    def changed(name: str) -> Array:
        return changes[name](model.array(name))

    if missing := changes.keys() - model.initializers.keys():
        raise KeyError(*missing)
    return replace(model, late={**model.late, **{name: partial(changed, name) for name in changes}})
