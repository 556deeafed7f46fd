"""Where we give another answer than the original on purpose: each test shows both, and says which defect it is."""

import re
from pathlib import Path

import pytest
import tvm
from relay import originals
from relay.originals import HWNC, computing_in, recast_layers
from relay.relay_networks import called, chain, network, realised
from tvm import relay

from corecast.adapters.relay import LayoutConfig, UtilityError, convert_layout, count_layers, recast

CONV = ["nn.conv2d"]
BOTH = (originals.recast, recast)


@pytest.mark.parametrize(
    ("name", "original", "ours"), [("tiny_residual_short_first", 3, 4), ("tiny_identity_short_first", 2, 3)]
)
def test_deviation_the_order_of_arguments_changes_the_count(name, original, ours):
    """A node first reached over a short path kept its depth: `add(short, deep)` counted less than the other way."""
    assert originals.count_layers(network(name), CONV) == original
    assert count_layers(network(name), CONV) == ours


@pytest.mark.parametrize(("name", "original", "ours"), [("tiny_concat", 4, 2), ("densenet121_b1", 28, 120)])
def test_deviation_depth_leaks_over_the_fields_of_a_tuple(name, original, ours):
    """Convolutions side by side in one concatenate were counted as if they stood one after another."""
    assert originals.count_layers(network(name), CONV) == original
    assert count_layers(network(name), CONV) == ours


def test_deviation_other_operators_change_the_count():
    """Casts between convolutions and their concatenate changed how many layers the network was said to have."""
    before = network("tiny_concat")
    after = originals.recast(before, "int8", "int32")
    assert (originals.count_layers(before, CONV), originals.count_layers(after, CONV)) == (4, 2)
    assert (count_layers(before, CONV), count_layers(after, CONV)) == (2, 2)


def test_deviation_entry_zero_skips_nothing_below_a_tuple():
    """The count leaked over tuple fields and the index did not, so low indices belonged to no layer at all."""
    module = network("tiny_concat")
    assert recast_layers(module, "int8", "int32", skip_layers=[0]) == [True, True, True, True]
    assert computing_in(recast(module, "int8", "int32", skip_layers=[0])) == [False, False, False, True]


def test_deviation_the_first_and_the_last_layer_share_an_index():
    """With an identity shortcut as first argument the stem was numbered like the last convolution."""
    module = network("tiny_identity_short_first")
    assert recast_layers(module, "int8", "int32", skip_layers=[-1]) == [False, True, False]
    assert computing_in(recast(module, "int8", "int32", skip_layers=[-1])) == [True, True, False]


def test_deviation_only_first_arguments_are_a_level_deeper():
    """With `add` listed too, the convolution at its second argument was numbered as if it stood beside the add."""
    data = relay.var("data", shape=(1, 4, 6, 6))
    weights = [relay.var(name, shape=(4, 4, 1, 1)) for name in ("w_left", "w_right")]
    added = relay.add(*(relay.nn.conv2d(data, weight) for weight in weights))
    module = relay.transform.InferType()(tvm.IRModule.from_expr(added))
    ops = ["nn.conv2d", "add"]
    assert recast_layers(module, "int8", "int32", ops, skip_layers=[0]) == [False, True]
    assert computing_in(recast(module, "int8", "int32", ops, skip_layers=[0])) == [False, False]


def test_deviation_the_callers_list_is_rewritten():
    """Negative entries were replaced in the caller's list; used again, it meant the first network's layers."""
    theirs, ours = [-1], [-1]
    relay.transform.recast(network("resnet18_b1"), "int8", "int32", skip_layers=theirs)
    recast(network("resnet18_b1"), "int8", "int32", skip_layers=ours)
    assert (theirs, ours) == ([16], [-1])


def test_deviation_a_configuration_counts_on():
    """The counter was never set back: used for a second conversion, entry 0 no longer named the first convolution."""
    module = chain(("a", 32), ("b", 32))
    theirs, ours = relay.transform.LayoutConfig(skip_layers=[0]), LayoutConfig(skip_layers=[0])
    for expected in ("NCHW", "HWNC"):
        with theirs:
            assert realised(relay.transform.ConvertLayout(HWNC)(module))[0][1] == expected
        with ours:
            assert realised(convert_layout(module, HWNC))[0][1] == "NCHW"


def test_deviation_a_configuration_has_no_negative_entries():
    """`LayoutConfig(skip_layers=[-1])` matched nothing, though `recast` knew negative entries."""
    module = chain(("a", 32), ("b", 32))
    assert [layer[1] for layer in realised(originals.convert_layout(module, HWNC, [-1]))] == ["HWNC", "HWNC"]
    with LayoutConfig([-1]):
        assert [layer[1] for layer in realised(convert_layout(module, HWNC))] == ["HWNC", "NCHW"]


def with_another_function() -> tvm.IRModule:
    module = chain(("a", 32), ("b", 32))
    data, weight = relay.var("other_data", shape=(8, 32, 8, 8)), relay.var("other_weight", shape=(32, 32, 1, 1))
    module["other"] = relay.Function([data, weight], relay.nn.conv2d(data, weight))
    return relay.transform.InferType()(module)


def names(module: tvm.IRModule) -> set[str]:
    return {var.name_hint for var in module.get_global_vars()}


def test_deviation_other_functions_are_dropped():
    """`recast` built a new module from `main` alone."""
    module = with_another_function()
    assert names(originals.recast(module, "int8", "int32")) == {"main"}
    assert names(recast(module, "int8", "int32")) == {"main", "other"}


def test_deviation_other_functions_are_converted_and_counted():
    """ConvertLayout took every function of the module in no certain order, all with one counter."""
    module = with_another_function()
    theirs = originals.convert_layout(module, HWNC)
    ours = convert_layout(module, HWNC)
    assert not tvm.ir.structural_equal(theirs["other"], module["other"])
    assert tvm.ir.structural_equal(ours["other"], module["other"])
    assert realised(ours) == realised(theirs)


@pytest.mark.parametrize(("name", "original", "ours"), [("tiny_shared_weight", 6, 5), ("resnet18_b1", 63, 59)])
def test_deviation_casts_are_doubled(name, original, ours):
    """A weight or an activation that two layers read was cast twice."""
    assert called(originals.recast(network(name), "int8", "int32"))["cast"] == original
    assert called(recast(network(name), "int8", "int32"))["cast"] == ours


def test_deviation_casts_to_the_same_dtype_stay():
    """A tensor that had the dtype already was cast to it all the same, and the result cast back."""
    module = network("tiny_single")
    assert called(originals.recast(module, "float32", "float32"))["cast"] == 3
    assert called(recast(module, "float32", "float32"))["cast"] == 0


def test_deviation_a_result_goes_back_and_forth():
    """Between two layers that both compute in float16 the result was cast to float32 and back."""
    module = chain(("a", 32), ("b", 32))
    assert called(originals.recast(module, "float16", "float16"))["cast"] == 6
    assert called(recast(module, "float16", "float16"))["cast"] == 4


def test_deviation_a_computed_tuple_is_left_alone():
    """A concatenate of a computed tuple stayed as it was, without a word."""
    halves = relay.split(relay.var("data", shape=(1, 4, 6, 6)), 2, axis=1).astuple()
    module = tvm.IRModule.from_expr(relay.Function(relay.analysis.free_vars(halves), relay.concatenate(halves, 1)))
    ops = ["concatenate"]
    assert called(originals.recast(module, "int8", "int8", ops))["cast"] == 0
    assert called(recast(module, "int8", "int8", ops))["cast"] == 3


def test_deviation_several_results_are_a_python_error():
    """A batch norm, whose result is a tuple, ended in an AttributeError about dtypes."""
    with pytest.raises(AttributeError):
        originals.recast(network("resnet18_b1"), "float16", "float16", ["nn.batch_norm"])
    with pytest.raises(UtilityError, match=r"nn\.batch_norm#0 has 3 results"):
        recast(network("resnet18_b1"), "float16", "float16", ["nn.batch_norm"])


def test_deviation_spans_are_lost():
    """A recast call no longer said which node of the source model it came from."""
    data, weight = relay.var("data", shape=(1, 4, 6, 6)), relay.var("w", shape=(4, 4, 1, 1))
    bare = relay.nn.conv2d(data, weight)
    span = relay.Span(relay.SourceName("stem"), 1, 1, 0, 0)
    module = tvm.IRModule.from_expr(relay.Call(bare.op, bare.args, bare.attrs, None, span))
    spans = [made["main"].body.args[0].span for made in (function(module, "int8", "int32") for function in BOTH)]
    assert spans[0] is None
    assert spans[1].source_name.name == "stem"


def test_deviation_entries_beyond_the_last_layer_match_nothing():
    """A layer number of another network was passed over without a word."""
    module = network("tiny_single")
    assert computing_in(originals.recast(module, "int8", "int32", skip_layers=[7])) == [True]
    with pytest.raises(UtilityError, match="no layer has the depth 7 in skip_layers"):
        recast(module, "int8", "int32", skip_layers=[7])
    with LayoutConfig([7]), pytest.raises(UtilityError, match="no layer has the ordinal 7 in skip_layers"):
        convert_layout(module, HWNC)


@pytest.mark.parametrize("name", ["dcgan_b1", "mlp_b1"])
def test_deviation_a_network_without_convolutions_is_done_at_once(name):
    """The workflow changed nothing and reported success."""
    module = network(name)
    assert tvm.ir.structural_equal(originals.recast(module, "int8", "int32"), module)
    with pytest.raises(UtilityError, match=r"the module has no nn\.conv2d"):
        recast(module, "int8", "int32")


def test_deviation_a_lower_optimization_level_converts_nothing():
    """In a Sequential below level 3 ConvertLayout was left out without a word."""
    module = network("tiny_single")
    with tvm.transform.PassContext(opt_level=2):
        theirs = tvm.transform.Sequential([relay.transform.ConvertLayout(HWNC)])(module)
        ours = convert_layout(module, HWNC)
    assert (realised(theirs)[0][1], realised(ours)[0][1]) == ("NCHW", "HWNC")


def test_the_docs_name_every_deviation():
    """And no test that there is not."""
    page = (Path(__file__).parents[2] / "docs" / "from-relay.md").read_text(encoding="utf-8")
    section = page.partition("\n### What answers otherwise on Relay\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(test_deviation_\w+)`", section)) == {
        name for name in globals() if "test_deviation_" in name
    }
