"""An original and what was made of it in, two models of the same outputs out, fit to be compared on this CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.relax import Model, before_softmax, emulate, emulated_dtypes, survey
from corecast.backends import Runner, build
from corecast.model import Target, find_target
from corecast.report.activity import doing
from corecast.verify import inputs_for

Array = NDArray[np.generic]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]

# Where models are compared; what it lacks is emulated.
HOST = find_target("llvm")


@dataclass(frozen=True)
class Pair:
    """Two models with the same outputs: those before a softmax where both end in one.

    Where one of them computes in dtypes that a CPU lacks, both are carried in wider ones, or a model that was in
    float16 all along would be compared with another rounding than its own.

    Attributes:
        original, converted: as they were given, or cut before the softmax.
        is_cut: whether they are.
        coarse: the dtypes of the original that are carried.
    """

    original: Model
    converted: Model
    is_cut: bool
    coarse: tuple[str, ...]

    @classmethod
    def of(cls, original: Model, converted: Model, *, whole: bool = False) -> Pair:
        """Two models, cut where both end in a softmax, unless they are to be compared `whole`."""
        cut = (None, None) if whole else (before_softmax(original), before_softmax(converted))
        is_cut = cut[0] is not None and cut[1] is not None and _result_types(cut[0]) == _result_types(cut[1])
        one, other = (cut[0] or original, cut[1] or converted) if is_cut else (original, converted)
        return cls(one, other, is_cut, emulated_dtypes(one))

    @cached_property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that are carried in wider ones."""
        return tuple(sorted({*self.coarse, *emulated_dtypes(self.converted)}))

    @cached_property
    def runnable_original(self) -> Model:
        return emulate(self.original) if self.dtypes else self.original

    @cached_property
    def runnable_converted(self) -> Model:
        return emulate(self.converted) if self.dtypes else self.converted

    def inputs(self, seed: int) -> Mapping[str, Array]:
        """Seeded inputs that both take. Raises `InputError`."""
        return inputs_for(survey(self.runnable_original), seed)

    @cached_property
    def run_original(self) -> Run:
        """The original, compiled when it is first asked for. Raises `BuildError`."""
        model = self.runnable_original
        return runner(model, HOST, "the original")(model.parameters)

    @cached_property
    def run_converted(self) -> Run:
        """The converted model, compiled when it is first asked for. Raises `BuildError`."""
        model = self.runnable_converted
        return runner(model, HOST, "the converted model")(model.parameters)

    def __str__(self) -> str:
        """What is compared, for the reader."""
        text = "outputs before the softmax" if self.is_cut else "outputs"
        return f"{text}, {' and '.join(self.dtypes)} emulated by numpy" if self.dtypes else text


def runner(model: Model, target: Target, what: str) -> Callable[[Mapping[str, Array]], Run]:
    """Compile once; each set of parameters then gives a function from inputs to outputs. `what` is for a crash."""
    with doing(what):
        executable = build(model.module, target)

    def with_parameters(parameters: Mapping[str, Array]) -> Run:
        ready = cache(lambda: Runner(executable, parameters))  # of several controls most are never run

        def run(inputs: Mapping[str, Array]) -> Sequence[Array]:
            with doing(what):
                return ready()(*inputs.values())

        return run

    return with_parameters


def _result_types(model: Model) -> str:
    return str(model.main.ret_ty)
