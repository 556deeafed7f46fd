"""The commands that answer questions: why a layer got what it got, and what may be said about a model at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from corecast.api.catalogue import standard_catalogue
from corecast.api.options import (
    FunctionName,
    IrName,
    Json,
    ModelPath,
    Packs,
    Params,
    RulesPath,
    Shapes,
    TargetName,
    Weights,
    parse_params,
    target_of,
)
from corecast.api.reading import find_layer, survey_of
from corecast.api.recipes import read_recipe
from corecast.plan import PlanError, format_names
from corecast.plan import explain as explain_layer
from corecast.plan import names as names_of
from corecast.plan import plan as make_plan
from corecast.report import Reporter

if TYPE_CHECKING:
    from corecast.plan import Plan


def explain(
    rules: RulesPath,
    model: ModelPath,
    layer: Annotated[
        str, typer.Argument(help="An id (nn.conv2d#7), a weight's name, or a node's name.", metavar="LAYER")
    ],
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """Say why a layer got what it got: which line decided, and which clause declined on what value."""
    reporter = Reporter()
    table = survey_of(model, weights, shape, function, ir, reporter)
    recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ())
    found = find_layer(layer, table)
    try:
        decided: Plan = make_plan(recipe, table, target_of(target))
    except PlanError as error:
        decided = error.plan
    explanation = explain_layer(recipe, table, decided, found)
    if json_:
        reporter.json(explanation.model_dump_json(indent=2))
    else:
        reporter.text(str(explanation))


def names(
    model: ModelPath,
    rules: Annotated[
        str | None, typer.Option("--rules", help="Tell the sets of this recipe, too.", metavar="RULES")
    ] = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """List everything that a selector may say about a model, each line ready to stand behind `match`."""
    reporter = Reporter()
    table = survey_of(model, weights, shape, function, ir, reporter)
    recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ()) if rules else None
    found = names_of(table, standard_catalogue().for_model(table), recipe)
    if json_:
        reporter.json(json.dumps([item.model_dump() for item in found], indent=2))
    else:
        reporter.text(format_names(found))
