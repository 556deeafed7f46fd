"""Two plans in, what the later one changes out, layer by layer: layers that came, went or were renamed, and decisions.

Revisions of a model number their layers anew, so layers are followed by what they are known by: first by the name of
their weight, then by id and structural hash, then by hash alone in the order of the model, then, without a weight, by
their id. What is left over was added or is gone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from corecast.model.record import Record
from corecast.plan.ids import compress, place_of, shorten
from corecast.plan.plan import Anchor, Decision, Expected, Plan, PlannedLayer, RecipeId
from corecast.recipe import PROPERTIES, Property


class Came(Record):
    """A layer that only one of the plans has, with what that plan decides about it."""

    layer: str
    parameter: str | None
    decisions: tuple[Decision, ...]


class Renamed(Record):
    """A layer that the model calls otherwise now: by another id, or by another name of its weight."""

    before: str
    after: str
    parameter_before: str | None
    parameter_after: str | None


class Changed(Record):
    """A property of a layer that is decided otherwise; None where no request decides it."""

    layer: str
    property: Property
    before: Decision | None
    after: Decision | None


class ChangedExpectation(Record):
    """A metric of which another bound is expected; None where nothing is."""

    before: Expected | None
    after: Expected | None


class PlanDiff(Record):
    """What a plan changes beside an older one; empty where both say the same of the same layers.

    `causes` says in which respects the two were made from something else. `altered` are the layers, by their ids now,
    that have other attributes, types or neighbours, which by itself is no difference between plans.
    """

    causes: tuple[str, ...]
    expects: tuple[ChangedExpectation, ...] = ()
    added: tuple[Came, ...] = ()
    gone: tuple[Came, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    changed: tuple[Changed, ...] = ()
    altered: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.expects or self.added or self.gone or self.renamed or self.changed)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def diff(old: Plan, new: Plan) -> PlanDiff:
    """Compare the plans of two recipes or of two revisions of a model."""
    before, after = _anchors(old), _anchors(new)
    pairs = {layer: layer for layer in before} if old.model.fingerprint == new.model.fingerprint else _follow(old, new)
    kept = {new_id: before[old_id] for old_id, new_id in pairs.items()}
    return PlanDiff(
        causes=tuple(_causes(old, new)),
        expects=tuple(_expectations(old, new)),
        added=tuple(_came(layer) for layer in after.values() if layer.id not in kept),
        gone=tuple(_came(layer) for layer in before.values() if layer.id not in pairs),
        renamed=tuple(
            Renamed(
                before=kept[layer.id].id,
                after=layer.id,
                parameter_before=kept[layer.id].parameter,
                parameter_after=layer.parameter,
            )
            for layer in after.values()
            if layer.id in kept and (kept[layer.id].id, kept[layer.id].parameter) != (layer.id, layer.parameter)
        ),
        changed=tuple(
            change for layer in after.values() if layer.id in kept for change in _changes(kept[layer.id], layer)
        ),
        altered=tuple(layer.id for layer in after.values() if layer.id in kept and kept[layer.id].hash != layer.hash),
    )


def _anchors(plan: Plan) -> dict[str, Anchor]:
    return {layer.id: layer for layer in (*plan.layers, *plan.untouched)}


def _came(layer: Anchor) -> Came:
    return Came(layer=layer.id, parameter=layer.parameter, decisions=tuple(filter(None, _decisions(layer))))


def _decisions(layer: Anchor) -> tuple[Decision | None, ...]:
    return layer.decisions if isinstance(layer, PlannedLayer) else (None,) * len(PROPERTIES)


def _changes(old: Anchor, new: Anchor) -> Iterator[Changed]:
    for name, before, after in zip(PROPERTIES, _decisions(old), _decisions(new), strict=True):
        if (before and before.edit) != (after and after.edit):
            yield Changed(layer=new.id, property=name, before=before, after=after)


def _expectations(old: Plan, new: Plan) -> Iterator[ChangedExpectation]:
    before, after = ({item.metric: item for item in plan.expects} for plan in (old, new))
    for metric in {**before, **after}:
        was, now = before.get(metric), after.get(metric)
        if (was and was.bound) != (now and now.bound):
            yield ChangedExpectation(before=was, after=now)


def _causes(old: Plan, new: Plan) -> Iterator[str]:
    if old.model.fingerprint != new.model.fingerprint:
        count, now = (len(plan.layers) + len(plan.untouched) for plan in (old, new))
        yield f"another model: {old.model.name} with {count} layers, now {new.model.name} with {now}"
    if old.recipe.hash != new.recipe.hash:
        yield "another recipe: " + "; ".join(_of_recipe(old.recipe, new.recipe))
    if old.target != new.target:
        yield f"another target: {old.target or 'none'}, now {new.target or 'none'}"


def _of_recipe(old: RecipeId, new: RecipeId) -> Iterator[str]:
    """In which respects a recipe is another one; its text, where nothing else is."""
    names = [f"{item.file}{f' {item.version}' if item.version else ''}" for item in (old, new)]
    used = [{item.name: item.version or "without a version" for item in recipe.uses} for recipe in (old, new)]
    params = [{name: str(value) for name, value in recipe.params.items()} for recipe in (old, new)]
    told = [f"{names[0]}, now {names[1]}"] if names[0] != names[1] else []
    told += [f"`use {name}` {before}, now {after}" for name, before, after in _differences(*used)]
    told += [f"${name} {before}, now {after}" for name, before, after in _differences(*params)]
    yield from told or [f"the text of {new.file}"]


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield name, old.get(name, "not there"), new.get(name, "not there")


# ── which layer is which ─────────────────────────────────────────────────────────────────────────────────────────────


def _follow(old: Plan, new: Plan) -> dict[str, str]:
    """The layers of the older plan that the newer one has too, each with its id there."""
    before, after = dict(_anchors(old)), dict(_anchors(new))
    pairs: dict[str, str] = {}
    # From the surest sign to the weakest; a sign that several layers share goes by their order.
    signs: tuple[Callable[[Anchor], Hashable], ...] = (
        lambda layer: layer.parameter and (place_of(layer.id)[0], layer.parameter),
        lambda layer: (layer.id, layer.hash),
        lambda layer: (place_of(layer.id)[0], layer.hash),
        lambda layer: None if layer.parameter else layer.id,
    )
    for sign in signs:
        candidates: defaultdict[Hashable, deque[str]] = defaultdict(deque)
        for layer in _in_order(after):
            if key := sign(layer):
                candidates[key].append(layer.id)
        for layer in _in_order(before):
            if ids := candidates.get(sign(layer)):
                pairs[layer.id] = ids.popleft()
                del before[layer.id], after[pairs[layer.id]]
    return pairs


def _in_order(anchors: Mapping[str, Anchor]) -> list[Anchor]:
    return sorted(anchors.values(), key=lambda layer: place_of(layer.id))


# ── as a page ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(difference: PlanDiff) -> Iterator[str]:
    yield from difference.causes
    if difference.is_empty:
        yield "no layer and no decision differs"
    for item in difference.expects:
        yield f"expects {' -> '.join(map(_expected, (item.before, item.after)))}"
    yield from _page("added", ((_came_as(item), item.layer) for item in difference.added))
    yield from _page("gone", ((_came_as(item), item.layer) for item in difference.gone))
    yield from _page("renamed", _renames(difference.renamed))
    yield from _page("changed", _changes_by_layer(difference.changed))
    if difference.altered:
        yield f"other attributes, types or neighbours: {shorten(compress(difference.altered))}"


def _page(title: str, told: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Texts and the layers that they are about, those of one text together, below a title that counts the layers."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for text, layer in told:
        groups[text].append(layer)
    if groups:
        yield f"{title}: {sum(map(len, groups.values()))}"
    for text, ids in groups.items():
        yield f"  {compress(ids)}"
        yield from (f"    {line}" for line in text.splitlines())


def _came_as(item: Came) -> str:
    weight = [f"weight {item.parameter}"] if item.parameter else []
    return "\n".join([*weight, *(map(_text, item.decisions) if item.decisions else ["untouched"])])


def _renames(layers: Iterable[Renamed]) -> Iterator[tuple[str, str]]:
    """Layers whose ids moved by as many places are told together."""
    groups: defaultdict[tuple[str, int, str], list[Renamed]] = defaultdict(list)
    for item in layers:
        (op, before), (_, after) = place_of(item.before), place_of(item.after)
        weight = f"weight {item.parameter_before}, now {item.parameter_after}"
        is_same = item.parameter_before == item.parameter_after
        groups[op, after - before, "" if is_same else weight].append(item)
    for (_, moved, weight), items in groups.items():
        was = f"was {compress(item.before for item in items)}" if moved else ""
        yield from (("\n".join(filter(None, (was, weight))), item.after) for item in items)


def _changes_by_layer(changes: Iterable[Changed]) -> Iterator[tuple[str, str]]:
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for item in changes:
        lines[item.layer].append(f"{_text(item.before)} -> {_text(item.after)}")
    yield from (("\n".join(texts), layer) for layer, texts in lines.items())


def _expected(item: Expected | None) -> str:
    return f"{item} ({item.place})" if item else "nothing of it"


def _text(decision: Decision | None) -> str:
    return f"{decision.edit} ({decision.rule}, {decision.place})" if decision else "undecided"
