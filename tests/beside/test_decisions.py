"""Decisions as cases expect them: a plan's own text finds nothing, and every change of it is found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corecast.api import Source, plan, read_recipe
from corecast.cases import DecisionsError, Finding, compare, format_decisions, parse_decisions, read_cases, with_texts
from corecast.cases.markdown import CaseFileError
from corecast.model import parse_table
from corecast.plan import Plan, PlanError

TABLE = parse_table(
    """
    image: float32 2x3x16x16
    nn.conv2d#0(image, %a: float32 32x3x3x3) -> float32 2x32x14x14
    nn.conv2d#1(nn.conv2d#0, %b: float32 32x32x3x3) -> float32 2x32x12x12
    nn.conv2d#2(nn.conv2d#1, %c: float32 32x32x3x3) -> float32 2x32x10x10
    nn.relu#0(nn.conv2d#2) -> float32 2x32x10x10
    return nn.relu#0
    """
)
REQUESTS = [
    *("set layout HWNC", "set layout NHWC", "cast int8", "tune tensorcore", "tune tensorcore trials 3", "keep"),
    *("quantize uint8", "quantize int8", "quantize int8 asymmetric", "quantize int8 weights per_tensor"),
]
LAYERS = ["nn.conv2d", "nn.conv2d #0", "nn.conv2d #1..2", "nn.relu", "*"]
rules = st.lists(st.tuples(st.sampled_from(LAYERS), st.sampled_from(REQUESTS)), min_size=1, max_size=4)


def planned(rules: list[tuple[str, str]]) -> Plan:
    text = "\n".join(f"match {layers}, {request}" for layers, request in rules)
    try:
        return plan(read_recipe(Source("case.rules", text)), TABLE)
    except PlanError as error:
        return error.plan


def findings(text: str, decided: Plan) -> list[Finding]:
    return list(compare(parse_decisions(text), decided, TABLE, 1))


@settings(deadline=None)
@given(rules)
def test_what_a_plan_decides_is_what_it_is_expected_to(rules: list[tuple[str, str]]) -> None:
    decided = planned(rules)
    assert findings(format_decisions(decided), decided) == []


@settings(deadline=None)
@given(rules, rules)
def test_another_plan_is_told_apart_and_nothing_else_is(
    rules: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    """Something is missing or noisy exactly where two plans decide differently."""
    one, other = planned(rules), planned(others)
    differ = [layer.id for layer in TABLE.layers if edits(one, layer.id) != edits(other, layer.id)]
    assert bool(findings(format_decisions(one), other)) is bool(differ)


def edits(decided: Plan, layer: str) -> list[object]:
    found = decided.by_id.get(layer)
    return [decision and decision.edit for decision in found.decisions] if found else [None] * 3


def test_what_is_still_to_do_stays_and_what_is_done_goes() -> None:
    decided = planned([("nn.conv2d", "set layout HWNC")])
    before = parse_decisions("todo: nn.conv2d#0..1  layout HWNC, HWOI\ntodo: nn.conv2d#2, nn.relu#0  untouched\n")
    assert format_decisions(decided, before) == ("nn.conv2d#0..1     layout HWNC, HWOI\ntodo: nn.conv2d#2  untouched\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nn.conv2d#0", "a line names layers and what is decided"),
        ("nn.conv2d  keep", "a line names layers and what is decided"),
        ("nn.conv2d#0  hold", "`hold` is no decision"),
        ("nn.conv2d#0  layout HWNC", "`layout HWNC` is no decision"),
        ("nn.conv2d#0  dtype int9 -> int32", "`dtype int9 -> int32`: unknown dtype 'int9'"),
        ("nn.conv2d#0  keep;", "`` is no decision"),
        ("nn.conv2d#0..1  keep\nnn.conv2d#1  keep", "nn.conv2d#1 has a line already"),
        ("nn.conv2d#0, nn.conv2d#0  keep", "nn.conv2d#0 has a line already"),
    ],
)
def test_a_line_that_says_nothing_is_refused(text: str, told: str) -> None:
    with pytest.raises(DecisionsError, match=told.replace("[", r"\[")):
        parse_decisions(text)


# ── files of cases ───────────────────────────────────────────────────────────────────────────────────────────────────

CASES = """# Two

## one
```a
text
```

A word, and then a block that is prose.

```
## no heading
```

## two
````b
```a
```
````
"""


def test_blocks_are_written_back_where_they_stood() -> None:
    read = read_cases(Source("cases", CASES))
    assert {name: {kind: block.text for kind, block in case.blocks.items()} for name, case in read.items()} == {
        "one": {"a": "text\n"},
        "two": {"b": "```a\n```\n"},
    }
    assert with_texts(CASES, "one", {"a": "text\n"}) == with_texts(CASES, "two", {"b": "```a\n```\n"}) == CASES
    changed = with_texts(CASES, "one", {"a": "```\n````\n", "c": "new\n"})
    assert changed == CASES.replace("```a\ntext\n```", "`````a\n```\n````\n`````", 1).replace(
        "## no heading\n```\n", "## no heading\n```\n```c\nnew\n```\n"
    )
    assert read_cases(Source("cases", changed))["one"].blocks["a"].text == "```\n````\n"


def test_a_block_is_added_to_a_last_line_without_an_end() -> None:
    assert with_texts("## one\nprose", "one", {"a": "x\n", "b": ""}) == "## one\nprose\n```a\nx\n```\n```b\n```\n"


@pytest.mark.parametrize(
    "text", ["```a\n```\n", "## one\n```a\n", "## one\n```a\n```\n```a\n```\n", "## one\n## One\n"]
)
def test_a_file_that_makes_no_cases_is_refused_at_its_line(text: str) -> None:
    with pytest.raises(CaseFileError) as caught:
        read_cases(Source("cases", text))
    assert caught.value.problems[0].span
