"""One recipe, two IRs: a network built in Relax and in Relay gets the same decisions from the same rules.

The Relay side is what `tests/relay/test_one_recipe.py` has left in .venv-relay/tables: a layer table of each network
and the plan of `RULES` for it. `make test` runs that one first.
"""

import os
from functools import cache
from pathlib import Path

import pytest
from golden_networks import network

from corecast.adapters.relax import survey
from corecast.api import Source, plan, read_recipe
from corecast.model import Layer, LayerTable
from corecast.plan import Plan, read_plan

TABLES = Path(__file__).parents[2] / ".venv-relay" / "tables"

NETWORKS = ("resnet18_b8", "resnet50_b1", "mobilenet_b1", "squeezenet_v11_b1", "densenet121_b1")

# Word for word the WORKFLOW of tests/relay/relay_networks.py; plans say by its digest that it is.
RULES = """
skip nn.conv2d #0
match nn.conv2d #k, set layout HWNC, cast int8 -> int32 unless skipped
"""

# Rules by what layers are instead of by their numbers, and another operator; not every network has all of them.
CONDITIONS = """
match nn.conv2d where groups == 1 and out_channels % 32 == 0, set layout HWNC
match nn.conv2d where depth > 3, cast int8 -> int32
match nn.conv2d where depth == 0, cast float16

match nn.conv2d where groups > 1
  optional
  set layout NHWC kernel HWOI

match nn.dense
  optional
  cast int8 -> int32
"""

# What Relay has an operator of its own for, and what Relax calls instead.
RENAMED = {
    "nn.bias_add": "add",
    "nn.batch_flatten": "reshape",
    "nn.global_avg_pool2d": "nn.adaptive_avg_pool2d",
}
LEFT_OUT = {"nn.dropout"}  # does nothing at inference, and Relax's builder of the network has none

# Attributes that the structural hash of a layer reads and that the two IRs fill in differently.
DIALECT = {"channels", "kernel_size", "out_layout", "out_dtype"}


@cache
def relax_table(name: str) -> LayerTable:
    return survey(network(name)).model_copy(update={"model": name})


def as_in_relay(table: LayerTable) -> LayerTable:
    """What the layers cost where Relay's own pass carries the layouts, which moves no axis of size one for nothing."""
    return table.model_copy(update={"ir": "relay"})


@cache
def relay_table(name: str) -> LayerTable:
    return LayerTable.model_validate_json(_left_by_relay(f"{name}.json").read_text(encoding="utf-8"))


def _left_by_relay(file: str) -> Path:
    """A file of the Relay tests. In continuous integration they have run, so that there it must be."""
    path = TABLES / file
    if not path.is_file():
        reason = f"there is no .venv-relay/tables/{file}: `make test-relay` writes it"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return path


def planned(rules: str, table: LayerTable) -> Plan:
    return plan(read_recipe(Source("test.rules", rules), table), table)


def decisions(made: Plan) -> list[tuple[str, str | None, object]]:
    """What was decided, with rule and line, for each layer by its id and weight."""
    return [(layer.id, layer.parameter, layer.decisions) for layer in made.layers]


@pytest.mark.parametrize("name", NETWORKS)
def test_both_have_the_same_convolutions_under_the_same_numbers(name):
    ours, theirs = (_numbers(table.by_op["nn.conv2d"]) for table in (relax_table(name), relay_table(name)))
    assert ours == theirs


def _numbers(layers: tuple[Layer, ...]) -> list[tuple[object, ...]]:
    return [(layer.id, layer.name, layer.ordinal, layer.depth, *_described(layer)) for layer in layers]


def _described(layer: Layer) -> tuple[object, ...]:
    attributes = {key: value for key, value in layer.attributes.items() if key not in DIALECT}
    return (attributes, [operand.type for operand in layer.operands], list(layer.results))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_other_operators_differ_by_name_only(name):
    ours, theirs = ([layer.op for layer in table.layers] for table in (relax_table(name), relay_table(name)))
    assert sorted(RENAMED.get(op, op) for op in theirs if op not in LEFT_OUT) == sorted(ours)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plan_made_in_relay_says_the_same(name):
    ours = planned(RULES, as_in_relay(relax_table(name)))
    theirs = read_plan(_left_by_relay(f"{name}.plan.yaml"))
    assert theirs.recipe.hash == ours.recipe.hash
    assert decisions(theirs) == decisions(ours)
    assert theirs.predicted == ours.predicted


@pytest.mark.parametrize("name", NETWORKS)
def test_conditions_hold_for_the_same_layers(name):
    ours, theirs = (planned(CONDITIONS, as_in_relay(table)) for table in (relax_table(name), relay_table(name)))
    assert decisions(theirs) == decisions(ours)
    assert theirs.predicted == ours.predicted


def test_a_plan_of_one_ir_is_not_taken_for_the_other():
    """A hash holds for one IR: attributes that mean the same are written differently."""
    name = NETWORKS[0]
    ours, theirs = planned(RULES, relax_table(name)), planned(RULES, relay_table(name))
    assert ours.model.fingerprint != theirs.model.fingerprint
    assert all(left.hash != right.hash for left, right in zip(ours.layers, theirs.layers, strict=True))
