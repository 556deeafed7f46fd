"""What two plans differ in, looked at from both sides; and plan files whose layers contradict each other."""

from __future__ import annotations

import random
import re

import pytest

from corecast.api import Source, plan, read_recipe
from corecast.model import LayerTable, parse_table
from corecast.plan import Plan, PlanFileError, diff, format_plan, parse_plan

RULES = "match nn.dense where out_channels > 4, cast float16\nmatch nn.relu, keep dtype, optional"


def network(seed: int) -> LayerTable:
    """A chain of dense layers and relus in which some layers are missing, some wider, some of another name."""
    chance = random.Random(seed)
    lines, width, last = ["x: float32 1x8"], 8, "x"
    dense = relu = 0
    for number in range(12):
        if chance.random() < 0.2:
            continue
        name, size = f"{chance.choice(['layer', 'block'])}{number}.weight", chance.choice([8, 8, 8, 4, 16])
        lines.append(f"nn.dense#{dense}({last}, %{name}: float32 {width}x{size}) -> float32 1x{size}")
        lines.append(f"nn.relu#{relu}(nn.dense#{dense}) -> float32 1x{size}")
        last, width = f"nn.relu#{relu}", size
        dense, relu = dense + 1, relu + 1
    return parse_table("\n".join([*lines, f"return {last}"]))


def planned(seed: int) -> Plan:
    table = network(seed)
    return plan(read_recipe(Source("case.rules", RULES), table), table)


@pytest.mark.parametrize("seed", range(12))
def test_both_sides_see_the_same(seed: int) -> None:
    """What came is gone the other way round, every layer is followed once, and a plan does not differ from itself."""
    old, new = planned(seed), planned(seed + 100)
    there, back = diff(old, new), diff(new, old)
    assert sorted(item.layer for item in there.added) == sorted(item.layer for item in back.gone)
    assert sorted(item.layer for item in there.gone) == sorted(item.layer for item in back.added)
    layers = [len(item.layers) + len(item.untouched) for item in (old, new)]
    assert layers[0] - len(there.gone) == layers[1] - len(there.added)
    assert len({item.after for item in there.renamed}) == len({item.before for item in there.renamed})
    assert diff(new, parse_plan(format_plan(new))).is_empty


def test_a_layer_whose_weight_kept_its_name_is_followed() -> None:
    """Whatever else is another: its width, its place, its neighbours."""
    for seed in range(6):
        old, new = network(seed), network(seed + 100)
        names = {layer.name for layer in old.layers} & {layer.name for layer in new.layers} - {None}
        difference = diff(planned(seed), planned(seed + 100))
        assert not names & {item.parameter for item in (*difference.added, *difference.gone)}


@pytest.mark.parametrize(
    ("line", "edited", "reason"),
    [
        (r" nn\.silu#0 -\n", " nn.dense#0 -\n", "nn.dense#0 has two entries"),
        (r"( +\w+ nn\.silu#0 -\n)", r"\1\1", "nn.silu#0 has two entries"),
        (r" nn\.silu#0 -\n", " nonsense -\n", "is not a layer id"),
        (r" nn\.silu#0 -\n", "\n", "not enough values"),
        (r"untouched: \|\n +\w+ nn\.silu#0 -\n", "", "`untouched` is missing"),
    ],
)
def test_layers_that_contradict_each_other_are_refused(line: str, edited: str, reason: str) -> None:
    """An untouched layer that is decided about, one that is listed twice, lines that name none."""
    table = parse_table(
        "x: float32 1x8\nnn.dense#0(x, %w: float32 8x8) -> float32 1x8\nnn.silu#0(nn.dense#0) -> float32 1x8\n"
        "return nn.silu#0"
    )
    good = format_plan(plan(read_recipe(Source("case.rules", RULES.partition("\n")[0]), table), table))
    assert [layer.id for layer in parse_plan(good).untouched] == ["nn.silu#0"]
    bad = re.sub(line, edited, good)
    assert bad != good
    with pytest.raises(PlanFileError, match=reason):
        parse_plan(bad)
