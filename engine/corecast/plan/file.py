"""Plans as files: a plan becomes YAML that people review and commit, and that reads back to the same plan.

Layers with equal decisions share an entry, and the anchors stand as lines of one block, those of untouched layers that
equal each other as one line, so that a plan of a hundred thousand layers stays readable and quick to read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from corecast.lang.problems import CorecastError, Problem
from corecast.model import WEIGHTED
from corecast.model.files import first_objection
from corecast.plan.ids import compress, expand, place_of
from corecast.plan.plan import (
    Anchor,
    Because,
    Decision,
    OnIntegers,
    Placed,
    Plan,
    PlannedLayer,
    RequestOutcome,
    RuleOutcome,
)
from corecast.plan.strict_yaml import Row, dump, load
from corecast.recipe import PROPERTIES, ChangeLayout, Property

_HEADER = "# What corecast decided, and which line of the recipe decided it. `corecast apply --plan` carries it out.\n"
_NO_PARAMETER = "-"


class PlanFileError(CorecastError):
    """A plan file that is not one: not YAML, another version, entries that contradict each other."""


def format_plan(plan: Plan) -> str:
    """Print a plan as YAML."""
    data = {
        "corecast_plan": plan.version,
        "model": plan.model.model_dump(exclude_defaults=True),
        "recipe": plan.recipe.model_dump(exclude_none=True, exclude_defaults=True),
        "target": plan.target,
        **({"expects": [Row(item.model_dump(exclude_none=True)) for item in plan.expects]} if plan.expects else {}),
        "decisions": _groups(plan),
        "anchors": "".join(f"{item.id} {item.hash} {item.parameter or _NO_PARAMETER}\n" for item in plan.layers),
        "untouched": _untouched(plan.untouched),
        "rules": [_rule(rule) for rule in plan.rules],
        "predicted": plan.predicted.model_dump(exclude_defaults=True),
        **({"integers": _on_integers(plan.integers)} if plan.integers else {}),
        "warnings": list(plan.warnings),
    }
    return _HEADER + dump(data)


def _on_integers(found: OnIntegers) -> dict[str, Any]:
    return {
        "carried": compress(found.carried),
        "quantized": list(found.quantized),
        "dequantized": list(found.dequantized),
    }


def _read_on_integers(data: Mapping[str, Any]) -> OnIntegers:
    return OnIntegers.model_validate({**data, "carried": tuple(expand(data["carried"]))})


def _groups(plan: Plan) -> list[dict[str, Any]]:
    groups: defaultdict[tuple[Decision | None, ...], list[str]] = defaultdict(list)
    for layer in plan.layers:
        groups[layer.decisions].append(layer.id)
    return [
        {
            "layers": compress(ids),
            **{
                name: Row(decision.edit.model_dump(exclude_none=True), rule=decision.rule, **_place(decision))
                for name, decision in zip(PROPERTIES, decisions, strict=True)
                if decision
            },
        }
        for decisions, ids in groups.items()
    ]


def _untouched(anchors: Iterable[Anchor]) -> str:
    """A line for equal layers: hash, ids and parameter."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for item in anchors:
        groups[item.hash, item.parameter or _NO_PARAMETER].append(item.id)
    return "".join(
        f"{hash} {compress(ids).replace(', ', ',')} {parameter}\n" for (hash, parameter), ids in groups.items()
    )


def _read_untouched(text: str, decided: Collection[str]) -> tuple[Anchor, ...]:
    found: dict[str, Anchor] = {}
    for line in text.splitlines():
        hash, ids, parameter = line.split(" ", 2)
        for layer in expand(ids.replace(",", ", ")):
            if layer in found or layer in decided:
                raise ValueError(f"{layer} has two entries")
            found[layer] = Anchor(id=layer, hash=hash, parameter=None if parameter == _NO_PARAMETER else parameter)
    return tuple(found[layer] for layer in sorted(found, key=place_of))


# Where an outcome says why, layer by layer.
_REASONS = ("passed_over", "skipped", "overridden", "not_applicable")


def _place(item: Placed) -> dict[str, str | int]:
    """The line, and the file where it is another than the recipe's own."""
    return {"line": item.line} if item.file is None else {"file": item.file, "line": item.line}


def _rule(rule: RuleOutcome) -> dict[str, Any]:
    return {
        **rule.model_dump(exclude={"requests"}, exclude_none=True),
        "requests": [
            {
                "request": request.request,
                **_place(request),
                "applied": compress(request.applied),
                **{
                    name: {item.reason: compress(item.layers) for item in items}
                    for name in _REASONS
                    if (items := getattr(request, name))
                },
            }
            for request in rule.requests
        ],
    }


def read_plan(path: str | Path) -> Plan:
    """Read a plan file. Raises `OSError`, and `PlanFileError` with what is wrong with its text."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(str(path), "it is not UTF-8 text") from error
    return parse_plan(text, str(path))


def parse_plan(text: str, name: str = "<string>") -> Plan:
    """Read what `format_plan` printed. Raises `PlanFileError`."""
    try:
        _refuse_more_than_fits(text)
        data = load(text)
        if not isinstance(data, Mapping) or "corecast_plan" not in data:
            raise ValueError("it does not begin with `corecast_plan`")
        if data["corecast_plan"] != 1:
            raise ValueError(f"it has version {data['corecast_plan']}, and this corecast reads version 1")
        return _plan(data)
    except KeyError as error:
        raise _damaged(name, f"`{error.args[0]}` is missing") from error
    except ValidationError as error:
        raise _damaged(name, first_objection(error)) from error
    except (TypeError, AttributeError) as error:
        raise _damaged(name, f"an entry has another form than in a plan ({error})") from error
    except (ValueError, OverflowError) as error:
        raise _damaged(name, str(error)) from error


def _damaged(name: str, reason: str) -> PlanFileError:
    help = "make it anew with `corecast plan RULES MODEL -o plan.yaml`"
    return PlanFileError(Problem("damaged-plan", f"this is not a plan: {reason}", help=help, place=name))


# More layers than any model has; a short text can name them, and expanding it would take all memory.
MOST_LAYERS = 5_000_000


def _refuse_more_than_fits(text: str) -> None:
    ranges = re.findall(r"#(\d{1,18})\.\.(\d{1,18})", text)
    if sum(max(0, int(last) - int(first)) for first, last in ranges) > MOST_LAYERS:
        raise ValueError(f"it names more than {MOST_LAYERS} layers")


def _plan(data: Mapping[str, Any]) -> Plan:
    decided: dict[str, dict[Property, Decision]] = {}
    layers: dict[str, PlannedLayer] = {}
    for group in data["decisions"]:
        decisions = {name: _decision(group[name]) for name in PROPERTIES if name in group}
        for layer in expand(group["layers"]):
            _check_axes(layer, decisions.get("layout"))
            if layer in decided:
                raise ValueError(f"{layer} has two entries")
            decided[layer] = decisions
    for line in str(data["anchors"] or "").splitlines():
        layer, hash, parameter = line.split(" ", 2)
        if layer not in decided:
            raise ValueError(f"{layer} has an anchor and no decision")
        name = None if parameter == _NO_PARAMETER else parameter
        layers[layer] = PlannedLayer(id=layer, hash=hash, parameter=name, **decided.pop(layer))
    if decided:
        raise ValueError(f"{compress(decided)} has a decision and no anchor")
    return Plan(
        model=data["model"],
        recipe=data["recipe"],
        target=data["target"],
        expects=tuple(data.get("expects", ())),
        layers=tuple(layers.values()),
        untouched=_read_untouched(str(data["untouched"] or ""), layers),
        rules=tuple(_read_rule(rule) for rule in data["rules"]),
        predicted=data["predicted"],
        integers=_read_on_integers(data["integers"]) if "integers" in data else None,
        warnings=tuple(data["warnings"]),
    )


def _decision(data: Mapping[str, Any]) -> Decision:
    place = {key: data[key] for key in ("rule", "line", "file") if key in data}
    edit = {key: value for key, value in data.items() if key not in place}
    return Decision.model_validate({"edit": edit, **place})


def _check_axes(layer: str, decision: Decision | None) -> None:
    """Refuse layouts that an operator does not have: TVM would only find out in the middle of a conversion."""
    if decision and isinstance(edit := decision.edit, ChangeLayout):
        operator = WEIGHTED.get(layer.rpartition("#")[0])
        layouts = ((edit.data, operator.data), (edit.kernel, operator.kernel)) if operator else ()
        if operator is None or any(sorted(new) != sorted(old) or operator.misorders(new) for new, old in layouts):
            raise ValueError(f"{layer} cannot have the layouts {edit.data} and {edit.kernel}")


def _read_rule(data: Mapping[str, Any]) -> RuleOutcome:
    requests = tuple(
        RequestOutcome(
            request=request["request"],
            line=request["line"],
            file=request.get("file"),
            applied=tuple(expand(request["applied"])),
            **{
                name: tuple(
                    Because(reason=reason, layers=tuple(expand(ids))) for reason, ids in request.get(name, {}).items()
                )
                for name in _REASONS
            },
        )
        for request in data["requests"]
    )
    return RuleOutcome(**{**data, "requests": requests})
