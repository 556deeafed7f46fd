"""Rules for what was found: the cheapest request as the rule, exceptions as a person would name them, with reasons."""

from __future__ import annotations

import pytest

from corecast.api.recipes import read_recipe
from corecast.lang import Source, parse
from corecast.lang.format import format
from corecast.model import LayerTable, find_target, parse_table
from corecast.plan import Plan, plan
from corecast.plan.naming import describing, naming
from corecast.recipe import read_bound
from corecast.search import Chosen, Found, Sensitivity, rules_of
from corecast.verify import Measured

# A stem of few channels, blocks, one of them depthwise, and a head.
TABLE = parse_table(
    """
image: float32 1x3x16x16
nn.conv2d#0(image, %stem.weight: float32 16x3x1x1) -> float32 1x16x16x16
nn.conv2d#1(nn.conv2d#0, %layer1.a.weight: float32 16x16x1x1) -> float32 1x16x16x16
nn.conv2d#2(nn.conv2d#1, %layer1.b.weight: float32 16x16x1x1) -> float32 1x16x16x16
nn.conv2d#3(nn.conv2d#2, %layer2.a.weight: float32 16x1x1x1) groups=16 -> float32 1x16x16x16
nn.conv2d#4(nn.conv2d#3, %layer2.b.weight: float32 32x16x1x1) -> float32 1x32x16x16
mean#0(nn.conv2d#4) axis=[2, 3] -> float32 1x32
nn.dense#0(mean#0, %fc.weight: float32 32x10) -> float32 1x10
return nn.dense#0
"""
)
TARGET = find_target("cuda:sm_90a")
LAYERS = [layer.id for op in ("nn.conv2d", "nn.dense") for layer in TABLE.by_op[op]]


def found(chosen: dict[str, str | None], base: str = "cast float16") -> Found:
    """`base` for all layers but these."""
    return Found(
        model="net.onnx",
        target=TARGET.name,
        budget=(read_bound("cosine >= 0.99"),),
        seed=0,
        compared="outputs",
        inputs=None,
        cost=0.5,
        whole=Measured(error=0.5, told="cosine 0.995", snr_db=20.0),
        probes=9,
        requests=("cast float16", "cast bfloat16"),
        chosen=tuple(
            Chosen(layer=layer, parameter=TABLE.by_id[layer].name, request=chosen.get(layer, base)) for layer in LAYERS
        ),
        sensitivities=tuple(
            Sensitivity(layer=layer, request=base, saves=0.125, alone=Measured(error=2, told="cosine 0.98", snr_db=14))
            for layer in LAYERS
        ),
    )


def replan(text: str) -> Plan:
    return plan(read_recipe(Source("found.rules", text), TABLE), TABLE, TARGET)


def test_one_request_for_all_is_one_rule() -> None:
    """With the budget as what the recipe expects, and where its numbers are from."""
    text = rules_of(found({}), TABLE, replan)
    assert text == (
        "# Found by `corecast search` on net.onnx for cuda:sm_90a: 6 of 6 layers changed, cost 50% of what it was, "
        "cosine 0.995.\n"
        "# Measured on inputs of seed 0, outputs.\n"
        "expect cosine >= 0.99\n\n"
        "rule cast_float16\n  match nn.conv2d or nn.dense\n  cast float16\n"
    )


def test_exceptions_stand_behind_it_with_what_was_measured() -> None:
    """What gets another dtype, and what stays; each with the number that spoke against the cheapest one."""
    text = rules_of(found({"nn.conv2d#0": None, "nn.dense#0": "cast bfloat16"}), TABLE, replan)
    assert text.endswith(
        "# nn.dense#0 (fc.weight): cast float16 alone: cosine 0.98, snr 14.0 dB; saves 12.5% of the cost\n"
        "rule cast_bfloat16\n  match nn.dense\n  cast bfloat16\n\n"
        "# nn.conv2d#0 (stem.weight): cast float16 alone: cosine 0.98, snr 14.0 dB; saves 12.5% of the cost\n"
        "rule kept\n  match nn.conv2d #0\n  keep dtype\n"
    )
    assert format(parse(text)) == text


def test_what_had_no_choice_is_not_reached() -> None:
    """A dense layer for which nothing was to be had is none of the rule's, though the request would apply."""
    result = found({})
    result = result.model_copy(update={"chosen": tuple(item for item in result.chosen if item.layer != "nn.dense#0")})
    text = rules_of(result, TABLE, replan)
    assert "match nn.conv2d\n" in text
    assert replan(text).decided("dtype").keys() == {item.layer for item in result.chosen}


@pytest.mark.parametrize(
    ("layers", "selector"),
    [
        ((0, 1, 2, 3, 4), "nn.conv2d"),
        ((0,), "nn.conv2d #0"),
        ((4,), "nn.conv2d #-1"),
        ((3,), 'nn.conv2d where name == "layer2.a.weight"'),
        ((1, 2), 'nn.conv2d where name like "layer1.*"'),
        ((3, 4), 'nn.conv2d where name like "layer2.*"'),
        ((1, 2, 3, 4), "nn.conv2d where in_channels >= 16"),
        ((2, 3), "nn.conv2d #2..3"),
        ((1, 3), "nn.conv2d where name in {layer1.a.weight, layer2.a.weight}"),
    ],
)
def test_layers_are_named_as_a_person_would(layers: tuple[int, ...], selector: str) -> None:
    """And the selector names just these in a plan."""
    chosen = [TABLE.by_op["nn.conv2d"][place] for place in layers]
    assert describing(chosen, TABLE) == selector
    assert selected(selector, TABLE) == [layer.id for layer in chosen]
    assert selected(naming(chosen, TABLE), TABLE) == [layer.id for layer in chosen]


def test_slashes_part_names_too() -> None:
    """As exporters of ONNX write them; half of a word is no beginning."""
    names = ("fire2/squeeze", "fire2/expand", "fire3/squeeze", "fire31/expand")
    lines = ["x: float32 1x8x4x4"]
    for number, name in enumerate(names):
        source = f"nn.conv2d#{number - 1}" if number else "x"
        lines.append(f"nn.conv2d#{number}({source}, %{name}: float32 8x8x1x1) -> float32 1x8x4x4")
    table = parse_table("\n".join([*lines, "return nn.conv2d#3"]))
    convolutions = table.by_op["nn.conv2d"]
    assert describing(convolutions[:2], table) == 'nn.conv2d where name like "fire2/*"'
    assert describing(convolutions[2:], table) == "nn.conv2d #2..3"


def test_layers_of_several_operators_are_named_one_by_one() -> None:
    """Conditions in parentheses."""
    chosen = [*TABLE.by_op["nn.conv2d"][1:3], *TABLE.by_op["nn.dense"]]
    selector = describing(chosen, TABLE)
    assert selector == '(nn.conv2d where name like "layer1.*") or nn.dense'
    assert selected(selector, TABLE) == [layer.id for layer in chosen]


def selected(selector: str, table: LayerTable) -> list[str]:
    recipe = read_recipe(Source("case.rules", f"match {selector}, cast float16"), table)
    return list(plan(recipe, table).decided("dtype"))
