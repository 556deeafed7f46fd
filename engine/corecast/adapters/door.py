"""The door for toolchains: what an adapter is, and the installed ones by the name of their IR.

Corecast's own come through it like all others. Another distribution adds one by an entry point of the group
`corecast.adapters`: its name is the name of the IR, and what it names is a subclass of `Adapter`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from corecast.adapters.agreement import (
    Realised,
    RealisedError,
    check_plan,
    integer_arithmetic,
    objection,
    refuse_padded,
    refuse_quantized,
)
from corecast.adapters.converted import Conversion, Converted
from corecast.adapters.proof import CannotRunError, Change, Compared, Observed, Outputs, Run
from corecast.adapters.source import Origin, read_content
from corecast.lang.problems import CorecastError, Problem
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.plan.predict import predict
from corecast.recipe import installed, made, named, unknown
from corecast.recipe.installed import OURS
from corecast.verify import LayerError
from corecast.verify.evidence import Batch

if TYPE_CHECKING:
    from corecast.quantization import Calibration
__all__ = [
    "GROUP",
    "Adapter",
    "AdapterError",
    "CannotRunError",
    "Change",
    "Conversion",
    "Converted",
    "Observed",
    "Pass",
    "Run",
    "find_adapter",
    "installed_adapters",
    "ir_of_file",
    "realised",
]

GROUP = "corecast.adapters"

M = TypeVar("M")


class AdapterError(CorecastError):
    """An adapter that is not installed, or that is asked for what it does not take."""


class Pass(Protocol[M]):
    """One step of a conversion: it makes another model, and prints what it does."""

    @property
    def name(self) -> str: ...

    def __call__(self, model: M) -> M: ...


class Adapter(ABC, Generic[M]):
    """How Corecast reads, converts and writes the models of one IR.

    A model is whatever the adapter makes of a file. What every adapter owes, `corecast.testing` proves: layers keep
    their identity, what was realised is read back, what is skipped stays, and the numbers do too.

    Attributes:
        ir: the name of the IR, which layer tables and `--ir` have. A converted model that is one file is called
            `OUT.<ir>`, and such a file is taken for a model of this IR.
        options: which of `weights`, `shapes` and `function` its `load` takes, as keywords.
    """

    ir: ClassVar[str]
    options: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def load(self, path: str, **options: Any) -> M:
        """Read a model and make it fit for conversion. Raises `corecast.adapters.source.ModelError`."""

    @abstractmethod
    def survey(self, model: M) -> LayerTable:
        """Its layers. Each has a `source` that no other one has, and that conversion keeps."""

    @abstractmethod
    def compile(self, plan: Plan) -> Iterable[Pass[M]]:
        """The passes that carry a plan out, in order."""

    @abstractmethod
    def write(self, conversion: Conversion[M], path: Path) -> None:
        """Write a converted model where nothing stands: whole, or not at all (`corecast.adapters.whole`)."""

    def refuse_existing(self, path: Path) -> None:
        """Raise `AdapterError` where something stands in the way of `write`; asked before anything is converted."""
        if os.path.lexists(path):
            help = "name another file, or remove this one first; corecast overwrites nothing"
            raise AdapterError(Problem("output-exists", f"{path} exists already", help=help))

    def notes(self, model: M) -> Sequence[str]:  # noqa: ARG002
        """What a reader should be told of a model that was loaded."""
        return ()

    def warnings(self, model: M, table: LayerTable, plan: Plan | None = None) -> Sequence[Problem]:  # noqa: ARG002
        """What a reader should be warned of in a model, and in what a plan does to it."""
        return ()

    def apply(self, plan: Plan, model: M, calibration: Calibration | None = None) -> Conversion[M]:  # noqa: ARG002
        """Carry out a plan on a model, which is not changed.

        Args:
            plan: made for its layers.
            model: what `load` returned.
            calibration: what an adapter needs for a plan that quantizes, if it can do that at all.

        Raises:
            PlanMismatchError: where the plan was made for another model.
            UnsupportedError: where the plan quantizes or pads; an adapter that can do that has an `apply` of its own.
            RealisedError: where the result does not have what was decided.
        """
        refuse_quantized(plan, self.ir)
        refuse_padded(plan, self.ir)
        before = self.survey(model)
        check_plan(plan, before)
        converted = model
        for step in self.compile(plan):
            converted = step(converted)
        after = self.survey(converted)
        told = tuple(self.warnings(model, before, plan))
        return Conversion(plan, model, converted, before, after, self.realised(plan, before, after), told)

    def realised(self, plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
        """What the layers of a converted model have of a plan. Raises `RealisedError` where that is not all of it."""
        return realised(plan, before, after)

    # ── files that are read again and run: what `corecast verify`, `bisect` and `run` need ───────────────────────────

    def origin(self, path: str, **options: Any) -> Origin:
        """What `load` reads, with a digest of all of it."""
        return Origin.of(Path(path), read_content(Path(path)), **options)

    def told(self, model: M) -> Mapping[str, str]:  # noqa: ARG002
        """The texts of `Conversion.told` that `write` put into a file, of the model that was read from it."""
        return {}

    def read(self, path: Path) -> Converted[M]:
        """Read a model that `write` wrote. Raises `ModelFileError`, and what `load` raises."""
        model = self.load(str(path))
        return Converted.of(path, model, self.told(model))

    def runner(self, model: M) -> Run:  # noqa: ARG002
        """Make a model ready: a function from arrays by name to the list of its outputs.

        Raises `CannotRunError`, when it is called too.
        """
        raise CannotRunError.no_runner(self.ir)

    def with_weights(self, model: M, changes: Mapping[str, Change]) -> M:  # noqa: ARG002
        """The same model with some weights changed, each by a function of its values: what a check must see.

        Raises `KeyError` for a weight that cannot be changed.
        """
        raise CannotRunError.no_runner(self.ir)

    def compared(self, original: M, converted: M, *, whole: bool = False) -> Compared:  # noqa: ARG002
        """What of two models is compared: their outputs; `whole` forbids to leave out a softmax at the end."""
        return Outputs(self, original, converted)

    def observed(self, model: M, values: Iterable[str]) -> Observed:  # noqa: ARG002
        """A function from inputs to values inside a model, which a calibration names: to find their ranges.

        Raises `CannotRunError`, when it is called too.
        """
        raise CannotRunError.no_runner(self.ir)

    def errors_of_layers(
        self,
        plan: Plan,  # noqa: ARG002
        original: M,  # noqa: ARG002
        converted: M,  # noqa: ARG002
        batches: Iterable[Batch],  # noqa: ARG002
    ) -> tuple[LayerError, ...]:
        """The error of each layer, the worst first (`corecast.verify.compare_layers`). Raises `CannotRunError`."""
        message = f"the adapter of the IR `{self.ir}` does not say what the layers of a model give"
        help = "leave `--layers` away; the adapter could have `errors_of_layers`"
        raise AdapterError(Problem("no-layers", message, help=help))


def realised(plan: Plan, before: LayerTable, after: LayerTable, merged: frozenset[str] = frozenset()) -> Realised:
    """The same, where a layer is known by its source, and what is added has one that no layer had.

    Layers of the operators in `merged` need not be there any more: what was added may have made them needless.
    """
    if problems := list(_differences(plan, before, after, merged)):
        raise RealisedError(problems)
    own = {layer.source for layer in before.layers}
    added = [layer for layer in after.layers if layer.source not in own]
    steps = integer_arithmetic(added) if plan.integers else ()
    ops = [layer.op for layer in added if layer.index not in steps]
    return Realised(
        layers=len(plan.layers),
        layout_transforms=ops.count("permute_dims"),
        casts=ops.count("astype"),
        quantized=ops.count("quantize"),
        dequantized=ops.count("dequantize"),
        fills=ops.count("nn.pad"),
        cuts=ops.count("strided_slice"),
        parameter_bytes=predict(after, {}).parameter_bytes,
    )


def _differences(plan: Plan, before: LayerTable, after: LayerTable, merged: frozenset[str]) -> Iterator[Problem]:
    converted = {layer.source: layer for layer in after.layers}
    for planned in plan.layers:
        old = before.by_id[planned.id]
        new = converted.get(old.source)
        if old.op in merged:
            continue  # only `keep` can be decided on these
        for decision in filter(None, planned.decisions):
            found = "it is gone" if new is None else objection(decision.edit, old, new)
            if found:
                place = f"({decision.rule}, {decision.place})"
                message = f"{planned.id} (node {old.source}): `{decision.edit}` was decided {place}, {found}"
                yield Problem("not-realised", message, help="this is a fault of the adapter or of what it calls")


# ── the installed ones ───────────────────────────────────────────────────────────────────────────────────────────────

_OWN = [
    EntryPoint("relax", "corecast.adapters.relax.adapter:RelaxAdapter", GROUP),
    EntryPoint("relay", "corecast.adapters.relay.adapter:RelayAdapter", GROUP),
    EntryPoint("onnx", "corecast.adapters.onnx.adapter:OnnxAdapter", GROUP),
]


@cache
def installed_adapters() -> dict[str, tuple[str, EntryPoint]]:
    """Owner and entry point of each adapter, by the name of its IR; none is imported.

    Raises `ExtensionError` that names both owners where a name has two.
    """
    return named("the adapter", [*((OURS, point) for point in _OWN), *installed(GROUP)])


@cache
def find_adapter(ir: str) -> Adapter[Any]:
    """The adapter of an IR.

    Raises:
        AdapterError: where none is installed.
        ExtensionError: where one is, and it is none or cannot be loaded.
    """
    known = installed_adapters()
    if ir not in known:
        message = f"there is no adapter for `{ir}`"
        raise AdapterError(Problem("unknown-adapter", message, help=unknown("adapters", ir, list(known))))
    owner, point = known[ir]
    adapter: Adapter[Any] = made(owner, point, Adapter, "adapter", known_by="ir")
    return adapter


def ir_of_file(path: str | Path) -> str | None:
    """The IR whose name a file's suffix is, where an adapter of it is installed."""
    ir = Path(path).suffix.removeprefix(".")
    return ir if ir in installed_adapters() else None
