"""A resolved recipe: every word looked up, every argument typed, ready to be planned against any layer table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from corecast.lang import nodes
from corecast.lang.source import Source, Span
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
    """A rules file with its meaning; `catalogue` is where its words come from."""

    name: str
    version: str | None
    source: Source
    catalogue: Catalogue
    lets: Mapping[str, nodes.Let]
    skips: tuple[nodes.Skip, ...]
    rules: tuple[Rule, ...]
    requires: tuple[nodes.Requires, ...]

    @property
    def hash(self) -> str:
        """A digest of the text it was read from."""
        return f"sha256:{hashlib.sha256(self.source.text.encode()).hexdigest()}"
