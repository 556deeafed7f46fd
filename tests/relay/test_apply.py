"""Plans carried out: what the passes are, what they leave alone, and what is refused."""

import re

import pytest
import tvm
from relay import originals
from relay.relay_networks import WORKFLOW, chain, network, plan_of, realised
from tvm import relay

from corecast.adapters.relay import (
    LayoutError,
    PlanMismatchError,
    RealisedError,
    apply,
    compile_plan,
    survey,
)
from corecast.adapters.relay import realised as read_back
from corecast.plan import format_plan, parse_plan

ZOO = ["resnet18_b8", "mobilenet_b1", "squeezenet_v11_b1", "densenet121_b1"]


@pytest.mark.parametrize("name", ZOO)
def test_what_was_foreseen_is_what_happens(name):
    module = network(name)
    plan = plan_of(WORKFLOW, module)
    conversion = apply(plan, module)
    assert conversion.realised.layers == len(plan.layers)
    assert conversion.realised.casts == plan.predicted.casts
    assert conversion.realised.layout_transforms == plan.predicted.layout_transforms == 2


def test_a_recipe_does_what_the_workflow_did():
    module = network("resnet18_b8")
    theirs = originals.convert_layout(module, originals.HWNC, [0])
    theirs = originals.recast(theirs, "int8", "int32", skip_layers=[0])
    assert realised(apply(plan_of(WORKFLOW, module), module).converted) == realised(theirs)


def test_passes_read_as_an_engineer_would_have_written_them():
    plan = plan_of(WORKFLOW + "match nn.dense, cast float16", network("resnet18_b1"))
    assert str(compile_plan(plan)) == (
        "corecast.CheckPlan: 22 layers of module\n"
        "corecast.Recast:\n"
        "  nn.conv2d#1..20: int8, accumulated in int32\n"
        "  nn.dense#0: float16, accumulated in float32\n"
        "relay.transform.ConvertLayout, within a relay.transform.LayoutConfig:\n"
        "  nn.conv2d#1..20: HWNC, HWOI\n"
        "  every other nn.conv2d: skipped"
    )


def test_passes_stand_in_a_sequential_with_any_optimization_level_and_instruments():
    module, names = network("tiny_single"), []

    @tvm.instrument.pass_instrument
    class Names:
        def run_before_pass(self, module, info):  # noqa: ARG002
            names.append(info.name)

    passes = compile_plan(plan_of("match nn.conv2d, set layout HWNC, cast int8", module))
    with tvm.transform.PassContext(opt_level=0, instruments=[Names()]):
        result = tvm.transform.Sequential([relay.transform.InferType(), *passes, relay.transform.FoldConstant()])(
            module
        )
    assert realised(result)[0][:4] == ("nn.conv2d", "HWNC", "HWOI", "int32")
    assert {"corecast.CheckPlan", "corecast.Recast", "corecast.ConvertLayout"} < set(names)


def test_several_layouts_are_several_runs():
    module = chain(("a", 32), ("b", 32), ("c", 32))
    rules = "match nn.conv2d #0, set layout HWNC\nmatch nn.conv2d #2, set layout NHWC kernel HWIO"
    converted = apply(plan_of(rules, module), module).converted
    assert [layer[1:3] for layer in realised(converted)] == [("HWNC", "HWOI"), ("NCHW", "OIHW"), ("NHWC", "HWIO")]


def test_the_configuration_does_not_outlive_the_pass():
    apply(plan_of("match nn.conv2d, set layout HWNC", network("tiny_single")), network("tiny_single"))
    assert relay.transform.LayoutConfig.current is None


def test_additions_keep_their_decisions_where_a_bias_becomes_one():
    data, weight, bias = (
        relay.var("data", shape=(8, 32, 8, 8)),
        relay.var("w", shape=(32, 32, 3, 3)),
        relay.var("b", shape=(32,)),
    )
    biased = relay.nn.bias_add(relay.nn.conv2d(data, weight, padding=(1, 1)), bias)
    module = tvm.IRModule.from_expr(relay.add(relay.add(biased, data), relay.nn.relu(biased)))
    conversion = apply(plan_of("match nn.conv2d, set layout HWNC\nmatch add #1, cast float16", module), module)
    assert [layer.operands[0].type.dtype for layer in conversion.after.by_op["add"]] == [
        "float32",
        "float32",
        "float16",
    ]


def test_convolutions_inside_a_called_function_are_not_touched():
    data, weight = relay.var("data", shape=(8, 32, 8, 8)), relay.var("w", shape=(32, 32, 1, 1))
    inner_data, inner_weight = relay.var("x", shape=(8, 32, 8, 8)), relay.var("y", shape=(32, 32, 1, 1))
    inner = relay.Function([inner_data, inner_weight], relay.nn.conv2d(inner_data, inner_weight))
    module = tvm.IRModule.from_expr(relay.nn.conv2d(relay.Call(inner, [data, weight]), weight))
    converted = apply(plan_of("match nn.conv2d #0, set layout HWNC", module), module).converted
    found = []
    relay.analysis.post_order_visit(converted["main"], lambda node: found.append(node))
    layouts = [node.attrs.data_layout for node in found if isinstance(node, relay.Call) and "Conv2D" in str(node.attrs)]
    assert layouts == ["NCHW", "HWNC"]


def test_of_other_convolutions_all_or_none():
    data, *weights = (relay.var(name, shape=(2, 4, 6, 6)) for name in ("data", "a", "b"))
    weights = [relay.var(name, shape=(4, 4, 3, 3)) for name in "ab"]
    value = data
    for weight in weights:
        value = relay.nn.conv2d_transpose(value, weight, kernel_size=(3, 3), channels=4)
    module = tvm.IRModule.from_expr(value)
    layout = "set layout NHWC kernel HWIO"
    assert realised(apply(plan_of(f"match nn.conv2d_transpose, {layout}", module), module).converted)[0][1] == "NHWC"
    with pytest.raises(LayoutError, match=r"every nn\.conv2d_transpose or none, and nn\.conv2d_transpose#0"):
        apply(plan_of(f"match nn.conv2d_transpose #1, {layout}", module), module)


def test_a_plan_for_another_module_is_refused():
    plan = plan_of("match nn.conv2d #0, set layout HWNC", chain(("a", 32)))
    with pytest.raises(PlanMismatchError, match=re.escape("nn.conv2d#0 has other attributes, shapes or neighbours")):
        apply(plan, chain(("a", 64)))
    with pytest.raises(PlanMismatchError, match=re.escape("it has no nn.conv2d#0")):
        apply(plan, network("mlp_b1"))


def test_what_was_not_realised_is_an_error():
    module = chain(("a", 32), ("b", 32))
    plan = plan_of("match nn.conv2d #1, set layout HWNC, cast int8", module)
    with pytest.raises(
        RealisedError, match=r"nn\.conv2d#1: `layout HWNC, HWOI` was decided \(line-1, line 1\)"
    ) as caught:
        read_back(plan, survey(module), survey(module))
    assert [problem.slug for problem in caught.value.problems] == ["not-realised", "not-realised"]


def test_other_functions_and_attributes_stay():
    module = chain(("a", 32))
    x = relay.var("x", shape=(2,))
    module["other"] = relay.Function([x], relay.nn.relu(x))
    module = relay.transform.InferType()(tvm.IRModule(dict(module.functions.items()), attrs={"note": "kept"}))
    converted = apply(plan_of("match nn.conv2d, set layout HWNC, cast int8", module), module).converted
    assert tvm.ir.structural_equal(converted["other"], module["other"])
    assert converted.attrs["note"] == "kept"
    assert realised(module)[0][1] == "NCHW"  # and the module that went in is as it was


def test_a_plan_of_a_relay_module_is_a_file_like_any_other():
    plan = plan_of(WORKFLOW, network("resnet18_b8"))
    assert parse_plan(format_plan(plan)) == plan
