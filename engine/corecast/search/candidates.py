"""A layer table and requests in, what each of them would decide about each layer out, and what that would cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from corecast.lang.problems import CorecastError, Problem
from corecast.model import WEIGHTED, LayerTable
from corecast.model.target import Target
from corecast.plan import Decision, Plan, PlannedLayer
from corecast.recipe import ChangeDType, Edit, Keep, Quantize
from corecast.search.costs import rate_of

KEEP = "keep dtype"
"""The request that leaves a layer as it was."""


class RequestError(CorecastError):
    """A text to try that is no single request."""


Planned = Callable[[str], Plan]
"""Plans a text for the model and the target, whether that keeps its own contracts or not."""


@dataclass(frozen=True)
class Candidate:
    """A dtype that a layer may have: the request for it, what that decides, and the cost of the layer then."""

    request: str
    edit: Edit
    cost: float


@dataclass(frozen=True)
class Candidates:
    """What each layer may become, beside what it is.

    Attributes:
        table: the layers of the model.
        of: the candidates of a layer, by its id, the cheapest first; layers without any are left out.
        as_it_was: what those layers cost in the dtypes that the model has.
        declined: for each request that no layer takes, why.
    """

    table: LayerTable
    target: Target
    plan: Plan
    of: dict[str, tuple[Candidate, ...]]
    as_it_was: dict[str, float]
    declined: dict[str, str]

    @property
    def requests(self) -> tuple[str, ...]:
        """Those that some layer has a choice of, the cheapest first."""
        shares: dict[str, float] = {}
        for layer, items in self.of.items():
            for item in items:
                share = item.cost / self.as_it_was[layer]
                shares[item.request] = min(share, shares.get(item.request, share))
        return tuple(sorted(shares, key=lambda request: shares[request]))

    def cost(self, chosen: dict[str, Candidate]) -> float:
        """Of all these layers, where some are changed."""
        return sum(chosen[layer].cost if layer in chosen else cost for layer, cost in self.as_it_was.items())

    def planned(self, chosen: dict[str, Candidate]) -> Plan:
        """The plan that changes these layers and no others."""
        layers = tuple(self._planned[layer].with_edit(chosen[layer]) for layer in self.of if layer in chosen)
        return Plan.model_construct(**{**dict(self.plan), "layers": layers})

    @cached_property
    def _planned(self) -> dict[str, _Unplanned]:
        return {id: _Unplanned(id, layer.name, layer.hash) for id in self.of if (layer := self.table.by_id[id])}


@dataclass(frozen=True)
class _Unplanned:
    id: str
    parameter: str | None
    hash: str

    def with_edit(self, candidate: Candidate) -> PlannedLayer:
        decision = Decision(edit=candidate.edit, rule="search", line=0)
        return PlannedLayer(id=self.id, parameter=self.parameter, hash=self.hash, dtype=decision)


def operators_of(table: LayerTable) -> list[str]:
    """The operators whose layers multiply and add: what a matrix unit is for."""
    return [op for op in table.by_op if op in WEIGHTED or op == "matmul"]


def candidates(table: LayerTable, target: Target, requests: Sequence[str], planned: Planned) -> Candidates:
    """Ask each request of every layer that multiplies and adds.

    Args:
        table: the layers of the model.
        target: what it is for; a dtype that is not native there is no candidate.
        requests: such as `cast float16`, `quantize int8`.
        planned: plans a text for the target.

    Raises `RequestError` for a text that is more than one request.
    """
    wanted = [layer for op in operators_of(table) for layer in table.by_op[op] if layer.flops]
    selector = " or ".join(operators_of(table))
    found: dict[str, list[Candidate]] = {layer.id: [] for layer in wanted}
    declined: dict[str, str] = {}
    plan = planned(f"match {selector or '*'}, {KEEP}\n  optional")
    for request in requests:
        tried = planned(f"match {selector or '*'}, {request}\n  optional")
        if any(len(rule.requests) > 1 for rule in tried.rules):
            help = "give each by itself: `--try 'quantize int8' --try 'cast float16'`"
            raise RequestError(Problem("bad-request", f"`{request}` is more than one request", help=help))
        edits = tried.decided("dtype")
        for layer in wanted:
            edit = edits.get(layer.id)
            if edit is not None and not isinstance(edit, Keep):
                cost = (layer.flops or 0) / rate_of(target, dtype_of(edit))
                found[layer.id].append(Candidate(request, edit, cost))
        if not any(layer in edits and not isinstance(edits[layer], Keep) for layer in found):
            reasons = [item.reason for rule in tried.rules for asked in rule.requests for item in asked.not_applicable]
            declined[request] = reasons[0] if reasons else "no layer multiplies and adds"
    own = {layer.id: (layer.flops or 0) / rate_of(target, layer.results[0].dtype) for layer in wanted}
    return Candidates(
        table=table,
        target=target,
        plan=plan,
        of={layer: _useful(items, own[layer]) for layer, items in found.items() if _useful(items, own[layer])},
        as_it_was=own,
        declined=declined,
    )


def dtype_of(edit: Any) -> str:
    """What an edit has a layer multiply in."""
    assert isinstance(edit, ChangeDType | Quantize), "only dtypes are searched for"
    return edit.dtype if isinstance(edit, ChangeDType) else edit.activations


def _useful(items: Iterable[Candidate], own: float) -> tuple[Candidate, ...]:
    """Those that cost less than the layer as it was, the cheapest first."""
    return tuple(sorted((item for item in items if item.cost < own), key=lambda item: item.cost))
