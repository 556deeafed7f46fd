"""A plan in, a Python script out that carries it out with nothing but a TVM that has Relay.

The script is `script.py` beside this file with the plan written into it. Neither is imported here: a plan can be made,
and its script written, where there is no Relay.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path

from corecast.adapters.agreement import refuse_padded, refuse_quantized
from corecast.adapters.relay.names import WEIGHT_PREPARATION, is_constant_name, relay_name
from corecast.lang.problems import CorecastError, Problem
from corecast.plan import Plan, compress
from corecast.recipe import ChangeDType, ChangeLayout, Edit

_TEMPLATE = Path(__file__).with_name("script.py")
_FOR_OUR_LINTERS = re.compile(r"  # noqa: \w+$|^# mypy: .*\n\n", re.MULTILINE)

# Calls that the layer table counts otherwise than Relay does: those on weights are no layers, and a `matmul` is one
# only where its second operand is no weight.
_UNCOUNTED = WEIGHT_PREPARATION | {"nn.matmul", "call"}


class EmitError(CorecastError):
    """A plan that no script can carry out by counting Relay's calls."""


def emit(plan: Plan) -> str:
    """Write the plan as a standalone script.

    Args:
        plan: made for the layer table of a Relay module.

    Raises:
        EmitError: where the plan changes calls that cannot be found by counting.
        UnsupportedError: where it quantizes or pads.
    """
    refuse_quantized(plan, "relay")
    refuse_padded(plan, "relay")
    edits = {
        layer.id: [decision.edit for decision in layer.decisions if decision and _changes(decision.edit)]
        for layer in plan.layers
    }
    changed = [layer for layer in plan.layers if edits[layer.id]]
    _check([layer.id for layer in changed])
    recast = ((layer, edit) for layer in edits for edit in edits[layer] if isinstance(edit, ChangeDType))
    convert = ((layer, edit) for layer in edits for edit in edits[layer] if isinstance(edit, ChangeLayout))
    data = {
        "RECAST": _rows((layer, edit.dtype, edit.accumulator) for layer, edit in recast),
        "CONVERT": _rows((layer, edit.data, edit.kernel) for layer, edit in convert),
        "WEIGHTS": _weights((layer.id, layer.parameter) for layer in changed if layer.parameter),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    text = text.replace('"""Converts a Relay module.\n', f'"""{_title(plan)}\n', 1)
    for name, lines in data.items():
        # A function as replacement: names of weights may hold backslashes.
        text = re.sub(rf"^({name}): .* = ([\[{{])([\]}}])$", _filler(lines), text, count=1, flags=re.MULTILINE)
    return _FOR_OUR_LINTERS.sub("", text)


def _changes(edit: Edit) -> bool:
    return isinstance(edit, ChangeDType | ChangeLayout)


def _check(layers: list[str]) -> None:
    uncounted = [layer for layer in layers if relay_name(_op(layer)) in _UNCOUNTED]
    if uncounted:
        message = f"a script cannot find {compress(uncounted)}: such a call is a layer only where it reads no weight"
        help = "leave it out of the rules, or use the passes themselves: `corecast.adapters.relay.compile_plan`"
        raise EmitError(Problem("not-emittable", message, help=help))


def _op(layer: str) -> str:
    return layer.rpartition("#")[0]


def _number(layer: str) -> int:
    return int(layer.rpartition("#")[2])


def _title(plan: Plan) -> str:
    version = f" {plan.recipe.version}" if plan.recipe.version else ""
    text = f"Converts the Relay module {plan.model.name!r} as the recipe {plan.recipe.name!r}{version} decided."
    return text.replace("\\", "/").replace('"""', "'''")


def _rows(decided: Iterable[tuple[str, str, str]]) -> list[str]:
    """One row for each operator and pair of values, with the numbers of its layers."""
    groups: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for layer, first, second in decided:
        groups[_op(layer), first, second].append(_number(layer))
    return [
        f"    ({_text(relay_name(op))}, {_numbers(numbers)}, {_text(first)}, {_text(second)}),"
        for (op, first, second), numbers in groups.items()
    ]


def _text(value: str) -> str:
    """A string literal in double quotes; JSON's are Python's."""
    return json.dumps(value)


def _numbers(numbers: list[int]) -> str:
    """`[0, *range(3, 21)]`."""
    return f"[{', '.join(_runs(numbers))}]"


def _runs(numbers: list[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(sorted(numbers)), lambda item: item[1] - item[0]):
        run = [number for _, number in group]
        yield from [f"*range({run[0]}, {run[-1] + 1})"] if len(run) > 2 else map(str, run)


def _weights(anchors: Iterable[tuple[str, str]]) -> list[str]:
    named: defaultdict[str, list[str]] = defaultdict(list)
    for layer, parameter in anchors:
        if is_constant_name(parameter):
            continue
        named[relay_name(_op(layer))].append(f"        {_number(layer)}: {_text(parameter)},")
    return list(chain.from_iterable((f"    {_text(op)}: {{", *rows, "    },") for op, rows in named.items()))


def _filler(lines: list[str]) -> Callable[[re.Match[str]], str]:
    def fill(match: re.Match[str]) -> str:
        # Without the annotation: Python 3.7, which the older of these TVMs run on, cannot evaluate it.
        return (
            "\n".join([f"{match[1]} = {match[2]}", *lines, match[3]]) if lines else f"{match[1]} = {match[2]}{match[3]}"
        )

    return fill
