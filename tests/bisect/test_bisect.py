"""Plans measured by made-up errors: what is found, and the exceptions that are written for it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from corecast.api.recipes import read_recipe
from corecast.bisect import Bisection, ExceptionsError, bisect, changes, with_exceptions, without
from corecast.lang import Source, parse
from corecast.lang.format import format
from corecast.model import LayerTable, parse_table
from corecast.plan import Plan, plan
from corecast.recipe import Keep
from corecast.verify import Measured, tolerance_of

NETWORK = """
image: float32 1x32x16x16
nn.conv2d#0(image, %stem: float32 32x32x3x3) padding=[1, 1, 1, 1] -> float32 1x32x16x16
nn.conv2d#1(nn.conv2d#0, %twin: float32 32x32x3x3) padding=[1, 1, 1, 1] -> float32 1x32x16x16
nn.conv2d#2(nn.conv2d#1, %twin: float32 32x32x3x3) padding=[1, 1, 1, 1] -> float32 1x32x16x16
nn.relu#0(nn.conv2d#2) -> float32 1x32x16x16
nn.conv2d#3(nn.relu#0, %block/head: float32 32x32x1x1) -> float32 1x32x16x16
return nn.conv2d#3
"""

Errors = Callable[[Plan], float]


@pytest.fixture(scope="module")
def table() -> LayerTable:
    return parse_table(NETWORK)


def planned(text: str | Source, table: LayerTable) -> Plan:
    source = text if isinstance(text, Source) else Source("case.rules", text)
    return plan(read_recipe(source, table), table)


def bisected(decided: Plan, error: Errors, tolerance: float | None = None) -> Bisection:
    return bisect(
        decided,
        lambda plan: Measured(error=error(plan)),
        dtypes=(),
        seed=0,
        compared=lambda: "outputs",
        tolerance=tolerance,
    )


def of(culprits: dict[str, float]) -> Errors:
    """The errors of these layers add up, where a property of theirs is changed: `nn.conv2d#1 dtype`."""
    return lambda plan: sum(culprits.get(f"{layer} {name}", 0.0) for layer, name in changes(plan))


def fixed(text: str, table: LayerTable, error: Errors, path: str = "fixed.rules") -> str:
    """The rules with exceptions; they are printed as they should be, plan, and are not found to fail any more."""
    decided = planned(text, table)
    found = bisected(decided, error)
    new = with_exceptions(Source(path, text), decided, found, table, lambda source: planned(source, table))
    assert new == format(parse(Source(path, new)))
    assert bisected(planned(new, table), error).outcome == "passes"
    return new


def rules_of(text: str) -> str:
    """What is written behind the recipe's own rules, without comments."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    start = next(number for number, line in enumerate(lines) if line.startswith("rule measured_exceptions"))
    return "\n".join(lines[start:])


def test_a_plan_without_a_change_keeps_it_pinned(table: LayerTable) -> None:
    """As a last rule with `keep` would have it; what is left is untouched, and so is the plan that was given."""
    decided = planned("match nn.conv2d, set layout NHWC, cast float16", table)
    change = next(item for item in changes(decided) if item == ("nn.conv2d#1", "dtype"))
    less = without(decided, [change])
    assert less.by_id["nn.conv2d#1"].dtype is not None
    assert less.by_id["nn.conv2d#1"].dtype.edit == Keep(property="dtype")
    assert less.by_id["nn.conv2d#1"].layout == decided.by_id["nn.conv2d#1"].layout
    assert changes(decided).keys() - changes(less).keys() == {change}


def test_a_decision_is_named_with_its_line(table: LayerTable) -> None:
    text = "rule layouts\n  match nn.conv2d\n  set layout NHWC\n\nrule casts\n  match nn.conv2d\n  cast float16\n"
    found = bisected(planned(text, table), of({"nn.conv2d#3 dtype": 1.0}))
    [item] = found.left_out
    assert (item.layer, item.parameter, item.rule, item.line) == ("nn.conv2d#3", "block/head", "casts", 7)
    assert (item.alone.error, found.rest and found.rest.error) == (1.0, 0.0)
    assert found.outcome == "culprits"


def test_layers_are_named_by_what_is_theirs_alone(table: LayerTable) -> None:
    """By the weight, where no other layer of the operator reads it; else by the node, else by the place."""
    text = "match nn.conv2d or nn.relu, cast float16\n"
    culprits = {f"{layer} dtype": 1.0 for layer in ("nn.conv2d#1", "nn.conv2d#3", "nn.relu#0")}
    assert rules_of(fixed(text, table, of(culprits))).splitlines() == [
        "rule measured_exceptions",
        '  match (nn.conv2d where name == "block/head") or nn.conv2d #1 or nn.relu #0',
        "  keep dtype",
    ]
    both = {"nn.conv2d#0 dtype": 1.0, "nn.conv2d#3 dtype": inf}
    assert 'nn.conv2d where name in {stem, "block/head"}' in fixed(text, table, of(both))


def test_nodes_are_named_where_there_are_nodes() -> None:
    lines = NETWORK.splitlines()
    named = parse_table("\n".join(f"{line} @node{place}" if "->" in line else line for place, line in enumerate(lines)))
    text = fixed("match nn.conv2d, cast float16\n", named, of({"nn.conv2d#1 dtype": 1.0, "nn.conv2d#2 dtype": 1.0}))
    assert "nn.conv2d where source in {node3, node4}" in text


def test_each_property_has_its_own_rule(table: LayerTable) -> None:
    """And a name that no rule of the recipe has."""
    text = "rule measured_exceptions\n  match nn.conv2d\n  set layout NHWC\n  cast float16\n"
    culprits = {"nn.conv2d#0 dtype": 1.0, "nn.conv2d#0 layout": 1.0, "nn.conv2d#3 layout": 1.0}
    new = fixed(text, table, of(culprits))
    assert new[new.index("rule measured_exceptions_2") :].splitlines() == [
        "rule measured_exceptions_2",
        '  match nn.conv2d where name == "stem"',
        "  keep layout",
        "  keep dtype",
        "",
        "rule measured_exceptions_3",
        '  match nn.conv2d where name == "block/head"',
        "  keep layout",
    ]


def test_comments_of_the_recipe_stay(table: LayerTable) -> None:
    text = "# First.\nmatch nn.conv2d, cast float16 # halves\n\n# Last.\n"
    new = fixed(text, table, of({"nn.conv2d#0 dtype": 1.0}))
    assert [line for line in new.splitlines() if line.endswith((".", "halves")) and "allowed" not in line] == [
        "# First.",
        "  cast float16  # halves",
        "# Last.",
    ]


def test_a_finer_rest_is_held_to_its_own_tolerance(table: LayerTable) -> None:
    """What `verify` allows bfloat16 it does not allow the float16 that is left, which would be written as a pass."""
    text = "match nn.conv2d, cast float16\nmatch nn.conv2d #0, cast bfloat16\n"
    decided = planned(text, table)
    error = of({"nn.conv2d#0 dtype": 0.5, "nn.conv2d#3 dtype": 0.05})
    found = bisected(decided, error)
    assert [item.layer for item in found.left_out] == ["nn.conv2d#3", "nn.conv2d#0"]
    assert found.tolerance == tolerance_of(planned("match nn.conv2d, cast float16", table)) == 0.01
    assert [item.layer for item in bisected(decided, error, tolerance=0.08).left_out] == ["nn.conv2d#0"]


def test_integers_are_held_to_the_tolerance_of_the_others(table: LayerTable) -> None:
    found = bisected(planned("match nn.conv2d #0, cast int8", table), of({"nn.conv2d#0 dtype": 1e-3}))
    assert (found.outcome, found.tolerance, found.hard_casts) == ("culprits", 1e-4, 1)


def test_a_used_recipe_is_named_by_its_file(table: LayerTable, tmp_path: Path) -> None:
    """And a last rule of the user's takes back what it decided, though its text is not the user's."""
    (tmp_path / "parts.rules").write_text("rule halves\n  match nn.conv2d\n  cast float16\n", encoding="utf-8")
    text, path = 'use "parts.rules"\n', tmp_path / "fixed.rules"
    decided = planned(Source(str(path), text, path), table)
    found = bisected(decided, of({"nn.conv2d#0 dtype": 1.0}))
    assert found.left_out[0].place.endswith("parts.rules:3")
    new = with_exceptions(Source(str(path), text, path), decided, found, table, lambda source: planned(source, table))
    assert rules_of(new).splitlines()[1] == '  match nn.conv2d where name == "stem"'


def test_a_rule_of_a_used_recipe_cannot_go(table: LayerTable, tmp_path: Path) -> None:
    """Where it would change nothing any more, its own contract is broken: that is told, with the reason."""
    (tmp_path / "parts.rules").write_text("rule halves\n  match nn.conv2d #0\n  cast float16\n", encoding="utf-8")
    text, path = 'use "parts.rules"\n', tmp_path / "fixed.rules"
    decided = planned(Source(str(path), text, path), table)
    found = bisected(decided, of({"nn.conv2d#0 dtype": 1.0}))
    with pytest.raises(ExceptionsError, match=r"changes none of them"):
        with_exceptions(Source(str(path), text, path), decided, found, table, lambda source: planned(source, table))


def test_infinite_errors_and_their_reasons_are_json(table: LayerTable) -> None:
    """As null, and back."""
    decided = planned("match nn.conv2d #0, cast float16", table)
    found = bisect(
        decided,
        lambda plan: Measured(error=inf, reason="it does not compile") if changes(plan) else Measured(error=0.0),
        dtypes=(),
        seed=0,
        compared=lambda: "outputs",
    )
    assert '"error":null,"reason":"it does not compile"' in found.model_dump_json()
    assert Bisection.model_validate_json(found.model_dump_json()) == found
