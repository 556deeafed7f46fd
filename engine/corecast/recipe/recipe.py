"""A resolved recipe: every word looked up, every argument typed, ready to be planned against any layer table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from corecast.lang import nodes
from corecast.lang.source import Source, Span
from corecast.recipe.flatten import Part
from corecast.recipe.metrics import Expectation
from corecast.recipe.words import Action, Catalogue


@dataclass(frozen=True)
class Request:
    """What a rule asks of the layers of one step of its match: the first alternative that applies is taken.

    `otherwise` is what happens where none applies; `unless` guards the request; `insist` reaches skipped layers too.
    """

    alternatives: tuple[Action, ...]
    otherwise: Literal["keep", "fail"]
    unless: nodes.Selector | None
    insist: bool
    step: int
    text: str
    span: Span


@dataclass(frozen=True)
class Rule:
    """A rule with its match, its own skips, its requests in order, and its contract."""

    name: str
    match: nodes.Match
    skips: tuple[nodes.Skip, ...]
    requests: tuple[Request, ...]
    expect: nodes.Expect | None
    optional: bool
    span: Span


@dataclass(frozen=True)
class Recipe:
    """A rules file with its meaning; `catalogue` is where its words come from.

    `expectations` are what it says of the converted model's answers, one of a metric; `parts` the recipes that it is
    made of, itself last.
    """

    name: str
    version: str | None
    source: Source
    catalogue: Catalogue
    lets: Mapping[str, nodes.Let]
    expectations: tuple[Expectation, ...]
    skips: tuple[nodes.Skip, ...]
    rules: tuple[Rule, ...]
    requires: tuple[nodes.Requires, ...]
    parts: tuple[Part, ...]

    @property
    def hash(self) -> str:
        """A digest of the text it was read from, of those that it uses, and of the values of their parameters."""
        texts = [part.source.text for part in self.parts]
        values = [f"{part.name}.{name}={value!r}" for part in self.parts for name, value in part.values.items()]
        content = self.source.text if len(texts) == 1 and not values else repr((texts, values))
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    def file_of(self, span: Span) -> str | None:
        """The file that a place lies in; None for the recipe's own, which need not be named each time."""
        return None if span.source is self.source else span.source.name
