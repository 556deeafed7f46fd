"""What `names` lists is a selector, and it names as many layers as is said."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from corecast.api import Source, load, prepare, read_recipe, standard_catalogue, survey
from corecast.model import LayerTable, parse_table
from corecast.plan import Selection, format_names, names

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"

# Names, texts and attributes that need care: quotes, wildcards, words of the language, lists, numbers of every kind.
ODD = r"""
image: float32 n x3x8x8
nn.conv2d#0(image, %block[0].conv*"1": float32 4x3x1x1) groups=1 or=3 strides=[1, 1] -> float32 n x4x8x8 @a\\b/c
nn.conv2d#1(nn.conv2d#0, %block[0].conv?2: float32 4x4x1x1) groups=2 or=4 -> float32 n x4x8x8 @a\\b/d
nn.leakyrelu#0(nn.conv2d#1) alpha=0.30000000000000004 method="" axis=-1 exclusive=true -> float32 n x4x8x8
nn.leakyrelu#1(nn.leakyrelu#0) alpha=1e-07 method="a\\"b" axis=1 exclusive=1 -> float16 n x4x8x8
nn.leakyrelu#2(nn.leakyrelu#1) alpha=1 method=null axis=1.0 exclusive=false -> float16 n x4x8x8
return nn.leakyrelu#2
""".replace("n x", "2x").replace("\\\\", "\\")


def tables() -> dict[str, LayerTable]:
    cases = Path(__file__).parents[1] / "cases" / "plan" / "network.layers"
    return {
        "network": parse_table(cases.read_text(encoding="utf-8")),
        "odd": parse_table(ODD),
        "squeezenet": survey(prepare(load(LIGHT, weights="random:0"))),
        "many sizes": parse_table(
            "x: float32 1x8\n"
            + "".join(f"nn.dense#{n}(x, %w{n}: float32 8x{n + 1}) -> float32 1x{n + 1}\n" for n in range(40))
            + "return nn.dense#39"
        ),
    }


TABLES = tables()


def listed(table: LayerTable, recipe: str | None = None) -> str:
    found = read_recipe(Source("sets.rules", recipe), table) if recipe else None
    return format_names(names(table, standard_catalogue().for_model(table), found))


def told(page: str) -> list[tuple[str, int]]:
    """The selectors of a page, as they are copied, with their numbers."""
    return [(line, int(line.rpartition("# ")[2])) for line in page.splitlines() if line and not line.startswith("# ")]


@pytest.mark.parametrize("name", TABLES)
def test_every_line_names_as_many_layers_as_it_says(name: str) -> None:
    """Each line behind a `match`, with its comment, as a reader copies it."""
    table = TABLES[name]
    lines = told(listed(table))
    assert len(lines) > 20
    text = "".join(f"rule r{number}\n  match {line}\n  keep\n" for number, (line, _) in enumerate(lines))
    recipe = read_recipe(Source("lines.rules", text), table)
    selection = Selection(recipe, table)
    found = [len(selection.layers(rule.match.selector)) for rule in recipe.rules]
    assert found == [count for _, count in lines]


def test_no_line_stands_there_twice() -> None:
    lines = [line for line, _ in told(listed(TABLES["odd"]))]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize(
    "line",
    [
        "nn.leakyrelu where alpha == 1e-7  # 1",
        "nn.leakyrelu where axis == -1  # 1",
        'nn.leakyrelu where method == ""  # 1',
        "nn.leakyrelu where exclusive == true  # 1",
        "nn.leakyrelu where exclusive == 1  # 1",
        '* where name == "block[0].conv?2"  # 1',
        '* where name like "block[[]0].*"  # 2',
        '* where result_dtype == "float16"  # 2',
        "nn.conv2d -> nn.leakyrelu  # 1",
        "* where groups == 2  # 1",
        "nn.conv2d where strides == [1, 1]  # 1",
    ],
)
def test_what_is_odd_is_listed(line: str) -> None:
    lines = [re.sub(r" +# ", "  # ", line) for line, _ in told(listed(TABLES["odd"]))]
    assert line in lines


def test_what_no_condition_can_say_is_told() -> None:
    """`or` is a word of the language."""
    assert "# no condition can say: or" in listed(TABLES["odd"]).splitlines()


def test_many_values_are_told_by_thresholds() -> None:
    lines = [line for line, _ in told(listed(TABLES["many sizes"]))]
    assert [line.partition("  #")[0].rstrip() for line in lines if "out_channels" in line] == [
        "* where out_channels >= 1",
        "* where out_channels >= 21",
        "* where out_channels >= 40",
    ]


def test_the_sets_of_a_recipe_are_listed() -> None:
    recipe = "let stem = nn.conv2d where in_channels < 16\nlet rest = nn.conv2d except stem\nmatch rest, keep"
    page = listed(TABLES["network"], recipe)
    assert page.endswith("# sets of sets\nstem  # 1\nrest  # 3\n")
    assert "# sets" not in listed(TABLES["network"])
