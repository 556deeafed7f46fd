"""What a search found in, a rules text out: the cheapest request as the rule, and exceptions with what spoke for them.

The text is planned again, and decides what was measured, or it is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from corecast.lang import CorecastError, Problem, Source, parse
from corecast.lang.format import format
from corecast.model import Layer, LayerTable
from corecast.plan import Plan
from corecast.plan.naming import describing, naming
from corecast.recipe import Keep
from corecast.search.candidates import KEEP, operators_of
from corecast.search.search import Chosen, Found, Sensitivity

# So many layers of an exception have their numbers beside them.
MOST_TOLD = 12

Naming = Callable[[Sequence[Layer], LayerTable], str]


class UnwritableError(CorecastError):
    """An assignment for which no rules were found that decide just that."""

    exit_status = 1


def rules_of(found: Found, table: LayerTable, replan: Callable[[str], Plan]) -> str:
    """The rules, as `corecast fmt` prints them.

    Args:
        found: what is to be said.
        table: the layers of the model.
        replan: plans a text for the model and the target.

    Raises:
        UnwritableError: where no text was found that decides what was measured.
    """
    wanted = {item.layer: item.request for item in found.chosen}
    reason = "it would decide something else"
    for name in (describing, naming):
        for is_whole in (True, False):
            text = format(parse(Source("found.rules", "\n".join(_lines(found, table, name, is_whole)) + "\n")))
            try:
                if _decides(replan(text), found) == wanted:
                    return text
            except CorecastError as error:
                reason = error.problems[0].message
    message = f"the rules that were found are not written: {reason}"
    raise UnwritableError(Problem("no-rules-found", message, help="`--json` has what was chosen for each layer"))


def _decides(plan: Plan, found: Found) -> dict[str, str | None]:
    """The request behind each change that a plan makes; what is none of ours is told as it is."""
    asked = {layer: request.request for rule in plan.rules for request in rule.requests for layer in request.applied}
    edits = {layer: edit for layer, edit in plan.decided("dtype").items() if not isinstance(edit, Keep)}
    own: dict[str, str | None] = {item.layer: None for item in found.chosen}
    return own | {layer: asked.get(layer, str(edit)) for layer, edit in edits.items()}


# ── the text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(found: Found, table: LayerTable, name: Naming, is_whole: bool) -> Iterator[str]:
    """The rules; the first one reaches all layers that multiply and add, or those only that had a choice."""
    groups: dict[str | None, list[Chosen]] = {}
    for item in found.chosen:
        groups.setdefault(item.request, []).append(item)
    base = next(request for request in found.requests if request in groups)
    yield from _header(found)
    yield from (f"expect {bound}" for bound in found.budget)
    everything = " or ".join(operators_of(table))
    reached = everything if is_whole else name([table.by_id[item.layer] for item in found.chosen], table)
    yield f"rule {_label(base)}"
    yield f"match {reached}"
    yield base
    for request, items in sorted(groups.items(), key=lambda item: (item[0] is None, -len(item[1]))):
        if request != base:
            yield from _comments(found.sensitivities, items, base)
            yield f"rule {_label(request)}"
            yield f"match {name([table.by_id[item.layer] for item in items], table)}"
            yield request or KEEP


def _header(found: Found) -> Iterator[str]:
    changed = sum(item.request is not None for item in found.chosen)
    yield (
        f"# Found by `corecast search` on {_on_a_line(found.model)} for {found.target}: {changed} of "
        f"{len(found.chosen)} layers changed, cost {found.cost:.0%} of what it was, {found.whole.text}."
    )
    yield f"# Measured on {_on_a_line(found.inputs or f'inputs of seed {found.seed}')}, {found.compared}."


def _comments(sensitivities: Iterable[Sensitivity], items: Sequence[Chosen], base: str) -> Iterator[str]:
    """Why these layers do not get what the others do."""
    alone = {item.layer: item for item in sensitivities if item.request == base}
    told = [(item, alone[item.layer]) for item in items if item.layer in alone]
    for item, sensitivity in told[:MOST_TOLD]:
        weight = f" ({_on_a_line(item.parameter)})" if item.parameter else ""
        yield f"# {item.layer}{weight}: {_on_a_line(sensitivity.text)}"
    if len(told) > MOST_TOLD:
        yield f"# and {len(told) - MOST_TOLD} more"


def _label(request: str | None) -> str:
    """`quantize_int8`, `cast_float16`, `kept`."""
    return "kept" if request is None else "_".join(request.replace("->", "").split())


def _on_a_line(text: str) -> str:
    return " ".join(text.split())
