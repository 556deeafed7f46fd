"""A plan in, a page for a person out: what each rule came to, what becomes of the layers, what it will cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from corecast.model import Layer, LayerTable, PaddedAxis, factor, padded, sizes_of
from corecast.plan.ids import compress, shorten
from corecast.plan.plan import Decision, OnIntegers, Plan, RequestOutcome
from corecast.recipe import PROPERTIES, ChangeDType, ChangeLayout, Keep, Pad, Quantize, Tune


def describe(plan: Plan, table: LayerTable) -> str:
    """The plan as text, the way a reviewer would like to read it."""
    return "\n".join(_lines(plan, table)) + "\n"


def _lines(plan: Plan, table: LayerTable) -> Iterator[str]:
    on = f" on {plan.target}" if plan.target else ""
    changed = sum(any(d and not isinstance(d.edit, Keep) for d in layer.decisions) for layer in plan.layers)
    kept = len(plan.layers) - changed
    of = f"{changed} of {_many(len(table.layers), 'layer')} change"
    yield f"{plan.recipe.file} for {plan.model.name}{on}: {of}" + (f", {kept} are kept as they are" if kept else "")
    yield from (f"expects {item} ({item.place})" for item in plan.expects)
    for rule in plan.rules:
        yield ""
        yield f"{rule.rule} ({rule.place}): {_many(rule.matched, 'layer')} matched, {rule.realised} realised"
        for request in rule.requests:
            yield f"  {request.request}"
            yield from _outcomes(request)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for layer in plan.layers:
        groups[_becomes(layer.decisions, table.by_id[layer.id])].append(layer.id)
    width = min(44, max((len(compress(ids)) for ids in groups.values()), default=0))
    if groups:
        yield ""
    for becomes, ids in groups.items():
        yield f"{compress(ids):<{width}}  {becomes}"
    yield ""
    yield from _on_integers(plan.integers)
    yield predicted(plan)
    if plan.target is None and any(isinstance(edit, ChangeDType) for edit in plan.decided("dtype").values()):
        yield "no target was given: each cast takes its first dtype that the IR can express"
    yield from plan.warnings


def predicted(plan: Plan) -> str:
    """The prediction in a sentence."""
    costs = plan.predicted
    changed = plan.integers
    quantized = (len(changed.quantized), len(changed.dequantized)) if changed else (0, 0)
    copies = (costs.padding.fills, costs.padding.cuts) if costs.padding else (0, 0)
    parts = [at_run_time(costs.layout_transforms, costs.casts, *quantized, *copies)]
    if costs.parameter_bytes is not None and costs.converted_parameter_bytes is not None:
        parts.append(
            f"parameters {size_in_memory(costs.parameter_bytes)} -> {size_in_memory(costs.converted_parameter_bytes)}"
        )
    if padding := costs.padding:
        parts += [] if padding.work is None else [f"{padding.work:.3g}x the operations"]
        parts += [] if padding.bytes is None else [f"{size_in_memory(padding.bytes)} read and written to fill and cut"]
    return f"predicted: {', '.join(parts)}"


def at_run_time(
    layout_transforms: int, casts: int, quantized: int = 0, dequantized: int = 0, fills: int = 0, cuts: int = 0
) -> str:
    """`2 layout transforms and 1 cast at run time`; where there are any, tensors that become integers or floats, and
    copies that fill up or cut.
    """
    found = [_many(layout_transforms, "layout transform"), _many(casts, "cast")]
    if quantized or dequantized:
        found += [f"{_many(quantized, 'tensor')} quantized", f"{dequantized} dequantized"]
    if fills or cuts:
        found += [_many(fills, "fill"), _many(cuts, "cut")]
    *parts, last = found
    return f"{', '.join(parts)} and {last} at run time"


def _on_integers(found: OnIntegers | None) -> Iterator[str]:
    """What a reader could not see in the requests: which other layers compute on integers, and where these end."""
    if found is None:
        return
    if found.carried:
        yield f"carried along on integers: {compress(found.carried)}"
    yield f"floats become integers: {shorten(', '.join(found.quantized))}"
    if found.dequantized:
        yield f"integers become floats: {shorten(', '.join(found.dequantized))}"


def _outcomes(request: RequestOutcome) -> Iterator[str]:
    if request.applied:
        yield f"    applied         {len(request.applied):>4}  {compress(request.applied)}"
    for because in request.passed_over:
        yield f"    passed over     {len(because.layers):>4}  {shorten(compress(because.layers))}: {because.reason}"
    for kind, because in request.undone:
        yield f"    {kind:<14}  {len(because.layers):>4}  {shorten(compress(because.layers))}: {because.reason}"


def _becomes(decisions: tuple[Decision | None, ...], layer: Layer) -> str:
    changes: defaultdict[str, list[str]] = defaultdict(list)
    for decision in filter(None, decisions):
        changes[f"({decision.rule}, {decision.place})"].append(_edit(decision, layer))
    return "; ".join(f"{', '.join(parts)} {place}" for place, parts in _fold_keeps(changes).items())


def _fold_keeps(changes: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """`keep` reads better than one for each property."""
    return {
        place: ["keep"] if len(parts) == len(PROPERTIES) and all(part.startswith("keep ") for part in parts) else parts
        for place, parts in changes.items()
    }


def _edit(decision: Decision, layer: Layer) -> str:
    match decision.edit:
        case ChangeLayout(data=data, kernel=kernel):
            return f"layout {layer.data_layout} -> {data}, kernel {kernel}"
        case ChangeDType(dtype=dtype) if layer.signature:  # which has no accumulator to tell
            return f"compute in {dtype}"
        case ChangeDType(dtype=dtype, accumulator=accumulator):
            return f"compute in {dtype} -> {accumulator}"
        case Pad(axis=axis, to=to):
            before, after = (_sizes(one, axis) for one in (layer, padded(layer, axis, to)))
            return f"{axis} {before} -> {after}, {factor(layer, axis, to):.3g}x the work"
        case Quantize() | Tune() | Keep() as edit:
            return str(edit)


def _sizes(layer: Layer, axis: PaddedAxis) -> str:
    return ", ".join(map(str, sizes_of(layer, axis)))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def size_in_memory(size: int) -> str:
    """A size in memory as a person would say it."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
