"""One recipe, one model, with TVM and without it: the plans agree but for what `prepare` makes of the graph for TVM.

What differs, and is left out here: a bias is an operand of its layer, and in Relax an `add`; a batch norm is a layer,
and in Relax folded into its convolution; an `LRN` is one layer, and in Relax several; and TVM's importer binds nodes in
another order, so that what stands side by side may be numbered otherwise.
"""

from __future__ import annotations

from functools import cache

import pytest
from onnx_networks import light, planned

from corecast.adapters import onnx, relax
from corecast.model import Layer, LayerTable
from corecast.plan import Plan, PlanError

QUICK = "inception_v1 resnet50 shufflenet squeezenet".split()
LARGE = "bvlc_alexnet densenet121 inception_v2 vgg19 zfnet512".split()
MODELS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]

# By number, by name, by shape, by depth, by attribute, and with skips.
RECIPE = """
skip nn.conv2d #0

rule convolutions
  match nn.conv2d #k where groups == 1 and k % 2 == 0
  cast float16 -> float16 unless skipped
  optional

rule deep
  match nn.conv2d where depth < 3 and in_channels > 32
  cast float16 -> float16

rule wide
  match nn.conv2d where pointwise or kernel_height > 3
  keep dtype
  optional

rule named
  match nn.conv2d where name like "*_w_1"
  cast float64
  optional

rule head
  match nn.dense #-1 where out_channels == 1000
  cast float16 -> float16
  optional
"""


@cache
def tables(name: str) -> tuple[LayerTable, LayerTable]:
    """The layers of a model through TVM, and without it."""
    path = light(name)
    return relax.survey(relax.prepare(relax.load(path, weights="random:0"))), onnx.survey(onnx.load(path))


def decided(table: LayerTable) -> Plan:
    """What the recipe decides; a small model may not have something of each."""
    try:
        return planned(RECIPE, table)
    except PlanError as error:
        return error.plan


def facts(layer: Layer) -> tuple[object, ...]:
    """What both say of a layer; its bias is an operand in one of them only."""
    attributes = {key: layer.attributes.get(key) for key in ("strides", "padding", "dilation", "groups", "pool_size")}
    types = [str(operand.type) for operand in layer.operands[:2]]
    return layer.id, layer.source, layer.name, layer.depth, attributes, types, layer.flops, layer.data_layout


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("op", ["nn.conv2d", "nn.dense"])
def test_layers_with_weights_are_the_same_under_the_same_numbers(name: str, op: str) -> None:
    """Node, weight, depth, attributes, shapes and cost too."""
    through, without = (table.by_op.get(op, ()) for table in tables(name))
    assert list(map(facts, through)) == list(map(facts, without))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("op", ["nn.relu", "nn.max_pool2d", "nn.avg_pool2d", "concat", "nn.softmax"])
def test_other_layers_are_the_same_nodes(name: str, op: str) -> None:
    """Those that stand side by side may be numbered otherwise."""
    through, without = ({layer.source for layer in table.by_op.get(op, ())} for table in tables(name))
    assert through == without


@pytest.mark.parametrize("name", MODELS)
def test_one_recipe_makes_one_plan(name: str) -> None:
    """The same decisions about the same layers, by the same rules and lines, and the same outcomes of every rule."""
    through, without = (decided(table) for table in tables(name))
    assert [(layer.id, layer.parameter, layer.decisions) for layer in through.layers] == [
        (layer.id, layer.parameter, layer.decisions) for layer in without.layers
    ]
    assert through.rules == without.rules
    assert through.recipe == without.recipe


def test_a_plan_of_one_ir_is_not_taken_for_the_other() -> None:
    """A hash holds for one IR."""
    through, without = (decided(table) for table in tables("squeezenet"))
    with pytest.raises(onnx.PlanMismatchError):
        onnx.check_plan(through, tables("squeezenet")[1])
    assert through.model.fingerprint != without.model.fingerprint
