"""A plan: every decision about every touched layer, with the rule and line that made it, and what each rule came to."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corecast.recipe import Edit, Property


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Decision(_Part):
    """The edit that decides a property of a layer, and the place in the recipe that asked for it."""

    edit: Edit
    rule: str
    line: int


class PlannedLayer(_Part):
    """A touched layer: its id, the name of its weight, its structural hash, and its decisions."""

    id: str
    parameter: str | None
    hash: str
    layout: Decision | None = None
    dtype: Decision | None = None
    schedule: Decision | None = None

    def decision(self, name: Property) -> Decision | None:
        decision: Decision | None = getattr(self, name)
        return decision

    @property
    def decisions(self) -> tuple[Decision | None, ...]:
        """Layout, dtype, schedule: what layers are grouped by."""
        return (self.layout, self.dtype, self.schedule)


class Because(_Part):
    """The layers on which a request was not realised for one reason."""

    reason: str
    layers: tuple[str, ...]


class RequestOutcome(_Part):
    """What became of one request: each matched layer is in exactly one of the four outcomes."""

    request: str
    line: int
    applied: tuple[str, ...] = ()
    skipped: tuple[Because, ...] = ()
    overridden: tuple[Because, ...] = ()
    not_applicable: tuple[Because, ...] = ()


class RuleOutcome(_Part):
    """A rule, how many layers it matched, on how many of them every request was realised, and each request."""

    rule: str
    line: int
    matched: int
    realised: int
    requests: tuple[RequestOutcome, ...]


class ModelId(_Part):
    """Which model a plan was made for."""

    name: str
    fingerprint: str


class RecipeId(_Part):
    """Which recipe made a plan, and the digest of its text."""

    name: str
    version: str | None = None
    file: str
    hash: str


class Prediction(_Part):
    """What the plan will cost, foreseen on the layer table; the realised numbers are printed beside them.

    Layout transforms and casts that run at every inference (those on weights are done once, ahead), and the bytes of
    the parameters before and after.
    """

    layout_transforms: int
    casts: int
    parameter_bytes: int | None
    converted_parameter_bytes: int | None


class Plan(_Part):
    """The decisions of one recipe on one model. Prints as YAML (`corecast.plan.file`) and reads back from it."""

    version: Literal[1] = 1
    model: ModelId
    recipe: RecipeId
    target: str | None = None
    layers: tuple[PlannedLayer, ...] = ()
    rules: tuple[RuleOutcome, ...] = ()
    predicted: Prediction
    warnings: tuple[str, ...] = Field(default=())

    @cached_property
    def by_id(self) -> dict[str, PlannedLayer]:
        return {layer.id: layer for layer in self.layers}

    def decided(self, name: Property) -> dict[str, Edit]:
        """The edits of one property, by layer id."""
        return {layer.id: decision.edit for layer in self.layers if (decision := layer.decision(name))}
