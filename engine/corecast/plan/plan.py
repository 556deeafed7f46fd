"""A plan: every decision about every touched layer, with the rule and line that made it, and what each rule came to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from corecast.lang.nodes import Scalar
from corecast.model.files import FormatVersion
from corecast.model.record import Record
from corecast.recipe import Bound, Edit, Property, Recipe


def place_text(line: int, file: str | None) -> str:
    """How a plan names a place: by its line alone where the file is the recipe's own."""
    return f"line {line}" if file is None else f"{file}:{line}"


class Placed(Record):
    """What a place in the recipe asked for; `file` is given where that is not the recipe's own but one that it uses."""

    line: int
    file: str | None = None

    @property
    def place(self) -> str:
        """`line 12`, or `tensorcore.rules:12` in a recipe that is used."""
        return place_text(self.line, self.file)


class Decision(Placed):
    """The edit that decides a property of a layer, and the rule that asked for it."""

    edit: Edit
    rule: str


class Expected(Placed, Bound):
    """A bound on the answers of the converted model, and where the recipe states it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What a layer is known by in other revisions of its model: its id, the name of its weight, its structural hash."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: str
    parameter: str | None
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLayer(Anchor):
    """A touched layer: its anchor and its decisions."""

    layout: Decision | None = None
    dtype: Decision | None = None
    schedule: Decision | None = None
    channels: Decision | None = None
    batch: Decision | None = None

    def decision(self, name: Property) -> Decision | None:
        decision: Decision | None = getattr(self, name)
        return decision

    @property
    def decisions(self) -> tuple[Decision | None, ...]:
        """One for each property, in their order: what layers are grouped by."""
        return (self.layout, self.dtype, self.schedule, self.channels, self.batch)


class Because(Record):
    """The layers on which a request was not realised for one reason."""

    reason: str
    layers: tuple[str, ...]


Undone = Literal["skipped", "overridden", "not applicable"]

# Each of them in front of its reason, in a sentence.
IN_A_SENTENCE: dict[Undone, str] = {
    "skipped": "skipped by",
    "overridden": "overridden by",
    "not applicable": "not applicable,",
}


class RequestOutcome(Placed):
    """What became of one request: each matched layer is in exactly one of the four outcomes.

    Where it was applied by another alternative than its first, `passed_over` says why.
    """

    request: str
    applied: tuple[str, ...] = ()
    passed_over: tuple[Because, ...] = ()
    skipped: tuple[Because, ...] = ()
    overridden: tuple[Because, ...] = ()
    not_applicable: tuple[Because, ...] = ()

    @property
    def undone(self) -> Iterator[tuple[Undone, Because]]:
        """Each reason for which it was not carried out on some layers, with the outcome that this is."""
        yield from (("skipped", because) for because in self.skipped)
        yield from (("overridden", because) for because in self.overridden)
        yield from (("not applicable", because) for because in self.not_applicable)


class RuleOutcome(Placed):
    """A rule, how many layers it matched, on how many of them every request was realised, and each request."""

    rule: str
    matched: int
    realised: int
    requests: tuple[RequestOutcome, ...]


class ModelId(Record):
    """Which model a plan was made for; `weights` are those whose values its rules asked for, with digests of them."""

    name: str
    fingerprint: str
    weights: dict[str, str] = Field(default_factory=dict)


class UsedId(Record):
    """A recipe that another uses."""

    name: str
    version: str | None = None
    file: str


class RecipeId(Record):
    """Which recipe made a plan, the digest of its text, the recipes that it uses and the values of all parameters.

    A parameter of a recipe that is used is called `tensorcore.trials`.
    """

    name: str
    version: str | None = None
    file: str
    hash: str
    uses: tuple[UsedId, ...] = ()
    params: dict[str, Scalar] = Field(default_factory=dict)


def recipe_id(recipe: Recipe) -> RecipeId:
    """What a plan says of the recipe that made it."""
    *used, own = recipe.parts
    params = [(f"{part.name}.{name}", value) for part in used for name, value in part.values.items()]
    return RecipeId(
        name=recipe.name,
        version=recipe.version,
        file=recipe.source.name,
        hash=recipe.hash,
        uses=tuple(UsedId(name=part.name, version=part.version, file=part.source.name) for part in used),
        params={**own.values, **dict(params)},
    )


class PaddingCost(Record):
    """What padding costs: tensors filled up and cut at run time, the bytes that these copies read and write, and how
    many times the operations of the whole model there are to compute.
    """

    fills: int
    cuts: int
    bytes: int | None
    work: float | None


class Prediction(Record):
    """What the plan will cost, foreseen on the layer table; the realised numbers are printed beside them.

    Layout transforms and casts that run at every inference (those on weights are done once, ahead), and the bytes of
    the parameters before and after.
    """

    layout_transforms: int
    casts: int
    parameter_bytes: int | None
    converted_parameter_bytes: int | None
    padding: PaddingCost | None = None


class OnIntegers(Record):
    """What a plan that quantizes does beside the layers that it names, foreseen on the layer table.

    `carried` are the layers between them that compute on integers too; `quantized` the values that are floats and
    become integers, `dequantized` those that are made on integers and become floats, by the names of a calibration.
    """

    carried: tuple[str, ...]
    quantized: tuple[str, ...]
    dequantized: tuple[str, ...]


class Plan(Record):
    """The decisions of one recipe on one model. Prints as YAML (`corecast.plan.file`) and reads back from it.

    `expects` is what `verify` judges the answers by. `layers` are those with a decision, in binding order; `untouched`
    all others, by operator, for a later plan to be compared with. `integers` is there where a layer is quantized.
    """

    version: FormatVersion = 1
    model: ModelId
    recipe: RecipeId
    target: str | None = None
    expects: tuple[Expected, ...] = ()
    layers: tuple[PlannedLayer, ...] = ()
    untouched: tuple[Anchor, ...] = ()
    rules: tuple[RuleOutcome, ...] = ()
    predicted: Prediction
    integers: OnIntegers | None = None
    warnings: tuple[str, ...] = Field(default=())

    @cached_property
    def by_id(self) -> dict[str, PlannedLayer]:
        return {layer.id: layer for layer in self.layers}

    def decided(self, name: Property) -> dict[str, Edit]:
        """The edits of one property, by layer id."""
        return {layer.id: decision.edit for layer in self.layers if (decision := layer.decision(name))}
