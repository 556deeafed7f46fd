"""Where the utilities of TVM PR #6748 gave an answer that nobody meant: theirs as recorded, and ours beside it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import golden_networks as networks
import pytest
import tvm
from tvm import relax

from corecast.adapters.relax import LayoutConfig, UtilityError, convert_layout, count_layers, recast, survey

PROBES = networks.golden("probes")
HWNC = {"nn.conv2d": ["HWNC", "default"]}
CONV = ["nn.conv2d"]


def left_in(dtype, module):
    """The weights of the convolutions that give this dtype."""
    return [layer.name for layer in survey(module).by_op["nn.conv2d"] if layer.results[0].dtype == dtype]


def skipped_by_recast(name, *entries, module=None):
    return left_in("float32", recast(module or networks.network(name), "int8", "int32", skip_layers=entries))


def skipped_by_layout_config(name, *entries):
    with LayoutConfig(entries):
        converted = convert_layout(networks.network(name), HWNC)
    return [layer.name for layer in survey(converted).by_op["nn.conv2d"] if layer.data_layout != "HWNC"]


def recorded_as_skipped(name, variant):
    """The weights of the convolutions that the original's recast left alone."""
    layers = networks.golden(name)["layers"]
    rows = networks.variant_of(name, variant)["layers"]
    return [
        layer[1] for layer, row in zip(layers, rows, strict=True) if layer[0] == "nn.conv2d" and row[5] == "float32"
    ]


# ── count_layers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deviation_order_of_arguments_changes_the_count():
    """`add(deep, short)` gave 4 and `add(short, deep)` 3 for one graph; the longest chain is 4 in both."""
    names = ("tiny_residual_deep_first", "tiny_residual_short_first", "tiny_identity_short_first")
    assert [networks.golden(name)["count_layers"]["nn.conv2d"] for name in names] == [4, 3, 2]
    assert [count_layers(networks.network(name), CONV) for name in names] == [4, 4, 3]


def test_deviation_depth_leaks_through_tuple_fields():
    """Three convolutions side by side into a concatenate counted one after another, and 120 in a row as 28."""
    names = ("tiny_concat", "densenet121_b1")
    assert [networks.golden(name)["count_layers"]["nn.conv2d"] for name in names] == [4, 28]
    assert [count_layers(networks.network(name), CONV) for name in names] == [2, 120]


def test_deviation_count_changes_when_casts_are_inserted():
    """Converting a network changed its count, from 4 to 2 and from 28 to 12; no convolution came or went."""
    for name, before, after, ours in (("tiny_concat", 4, 2, 2), ("densenet121_b1", 28, 12, 120)):
        workflow = networks.variant_of(name, "seed_hwnc_int4_skip0")
        assert networks.golden(name)["count_layers"]["nn.conv2d"] == before
        assert workflow["count_layers_after"] == after
        converted = networks.carried_out(networks.network(name), workflow)
        assert count_layers(networks.network(name), CONV) == count_layers(converted, CONV) == ours


# ── the numbering of recast ──────────────────────────────────────────────────────────────────────────────────────────


def test_deviation_order_of_arguments_changes_the_numbers():
    """With the short branch first, entry 0 skipped the stem and the first convolution of the other branch."""
    recorded = PROBES["skip_index_sweep"]["tiny_residual_short_first"]["recast_skip"]
    assert recorded["0"] == ["w_stem", "w_a1"]
    for name in ("tiny_residual_short_first", "tiny_residual_deep_first"):
        assert skipped_by_recast(name, 0) == ["w_stem"]
        assert skipped_by_recast(name, 1) == ["w_a1"]
        assert sorted(skipped_by_recast(name, 2)) == ["w_a2", "w_short"]
        assert skipped_by_recast(name, 3) == skipped_by_recast(name, -1) == ["w_tail"]


def test_deviation_identity_branch_first_makes_the_stem_last():
    """The stem shared the index of the last convolution, and 0 was the middle one."""
    recorded = PROBES["skip_index_sweep"]["tiny_identity_short_first"]["recast_skip"]
    assert (recorded["0"], recorded["1"]) == (["w_a1"], ["w_stem", "w_a2"])
    assert [skipped_by_recast("tiny_identity_short_first", place) for place in range(3)] == [
        ["w_stem"],
        ["w_a1"],
        ["w_a2"],
    ]


def test_deviation_lowest_indices_belong_to_no_layer():
    """Behind a tuple the indices 0 and 1 hit nothing; the three convolutions before it are at depth 0."""
    recorded = PROBES["skip_index_sweep"]["tiny_concat"]["recast_skip"]
    assert (recorded["0"], recorded["1"], recorded["2"]) == ([], [], ["w_a", "w_b", "w_c"])
    assert skipped_by_recast("tiny_concat", 0) == ["w_a", "w_b", "w_c"]
    assert skipped_by_recast("tiny_concat", 1) == ["w_tail"]


def test_deviation_densenet_first_layer_is_recast():
    """`skip_layers=[0]` skipped nothing in DenseNet-121, which has no tensor-core kernel for its first convolution."""
    assert recorded_as_skipped("densenet121_b1", "seed_hwnc_int4_skip0") == []
    assert skipped_by_recast("densenet121_b1", 0) == ["conv1_weight"]


def test_deviation_densenet_last_entry_skips_sixteen():
    """`skip_layers=[-1]` skipped every convolution that feeds the last concatenate; one of them is the last."""
    assert len(recorded_as_skipped("densenet121_b1", "hwnc_int8_skip_last")) == 16
    assert skipped_by_recast("densenet121_b1", -1) == ["conv2d_2_3_15_weight"]


def test_deviation_second_argument_is_one_level_off():
    """Of a listed `add`, the convolution above the second argument was numbered as if it stood beside the add."""
    visits = {weight: index for index, op, weight, _ in PROBES["recast_op_add_and_conv"]["visits"] if op != "add"}
    assert (visits["w_a2"], visits["w_short"]) == (2, 3)
    module = networks.network("tiny_residual_deep_first")
    converted = recast(module, "float16", "float16", ["nn.conv2d", "add"], [2])
    assert left_in("float32", converted) == ["w_a2", "w_short"]


# ── skip_layers as an argument ───────────────────────────────────────────────────────────────────────────────────────


def test_deviation_callers_list_is_rewritten():
    """Negative entries were replaced in the caller's own list, so a second network got the first one's numbers."""
    recorded = PROBES["recast_rewrites_callers_skip_list"]
    assert (recorded["given"], recorded["after_first_call_on_graph_with_count"][0]) == ([-1, 0, -2], [3, 0, 2])
    entries = [-1, 0, -2]
    recast(networks.network("tiny_residual_deep_first"), "int8", "int32", skip_layers=entries)
    assert entries == [-1, 0, -2]
    assert skipped_by_recast("tiny_residual_deep_first", *(-1, 0)) == ["w_stem", "w_tail"]  # a tuple was a TypeError


def test_deviation_entries_beyond_the_last_layer_are_ignored():
    """An entry that no layer has was no error in either function; it is one in both, and says which there are."""
    assert set(PROBES["recast_skip_lists"]["[99]"].values()) == {"int8,int8->int32"}
    assert PROBES["skip_index_sweep"]["tiny_residual_deep_first"]["layout_skip"]["5"] == []
    with pytest.raises(
        UtilityError, match=r"no layer has the depth 99 in skip_layers\n  help: they run from 0 to 3, or"
    ):
        skipped_by_recast("tiny_residual_deep_first", 99)
    with pytest.raises(
        UtilityError, match=r"no layer has the ordinal 5, -6 in skip_layers\n  help: .* from 0 to 4, or"
    ):
        skipped_by_layout_config("tiny_residual_deep_first", 0, 5, -6)


# ── LayoutConfig ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deviation_negative_entries_of_layout_config_never_match():
    """`LayoutConfig([-1])` skipped nothing; it skips the last convolution, as recast's -1 does in a chain."""
    assert PROBES["skip_index_sweep"]["tiny_residual_deep_first"]["layout_skip"]["-1"] == []
    assert skipped_by_layout_config("tiny_residual_deep_first", -1) == ["w_tail"]


def test_deviation_counter_is_never_reset():
    """A config used twice went on counting, so its entry 0 no longer matched; ours has no counter."""
    recorded = PROBES["layout_config_reuse"]
    assert recorded["first_use"]["w0"] == "NCHW/OIHW"
    assert recorded["second_use_same_object"]["w0"] == "HWNC/HWOI"
    config = LayoutConfig([0])
    for _ in range(2):
        with config:
            converted = convert_layout(networks.network("tiny_chain_odd"), HWNC)
        assert [layer.data_layout for layer in survey(converted).by_op["nn.conv2d"]] == ["NCHW", "HWNC"]


def test_deviation_config_is_seen_by_every_thread():
    """The current config was one for the whole process; a thread that has set none converts every layer."""
    with LayoutConfig([0]), ThreadPoolExecutor(1) as pool:
        converted = pool.submit(convert_layout, networks.network("tiny_chain_odd"), HWNC).result()
    assert {layer.data_layout for layer in survey(converted).by_op["nn.conv2d"]} == {"HWNC"}


def test_deviation_config_without_conv2d_is_ignored():
    """Only nn.conv2d was ever asked, so a config around another operator did nothing; it is an error."""
    recorded = networks.variant_of("tiny_transpose", "transpose_nhwc_skip0")
    assert recorded["layers"][1][:2] == ["NHWC", "HWIO"]
    with LayoutConfig([0]), pytest.raises(UtilityError, match="unused-skip"):
        convert_layout(networks.network("tiny_transpose"), {"nn.conv2d_transpose": ["NHWC", "default"]})


def test_nested_configs():
    """As there, the innermost decides alone, and the outer one is back afterwards."""
    assert PROBES["layout_config_nesting"]["inner_skip0_outer_skip1"] == {"w0": "NCHW/OIHW", "w1": "HWNC/HWOI"}
    with LayoutConfig([1]):
        assert skipped_by_layout_config("tiny_chain_odd", 0) == ["w0"]
        converted = convert_layout(networks.network("tiny_chain_odd"), HWNC)
    assert [layer.data_layout for layer in survey(converted).by_op["nn.conv2d"]] == ["HWNC", "NCHW"]


# ── convert_layout ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_deviation_low_opt_level_skips_the_pass():
    """In a Sequential below level 3 ConvertLayout was left out without a word; ours is carried out at any level."""
    assert PROBES["convert_opt_level"]["sequential_opt_level_2"]["layouts"]["w0"] == "NCHW/OIHW"
    with tvm.transform.PassContext(opt_level=0):
        converted = convert_layout(networks.network("tiny_chain_odd"), HWNC)
    assert {layer.data_layout for layer in survey(converted).by_op["nn.conv2d"]} == {"HWNC"}


def test_deviation_converting_back_adds_transforms():
    """There and back left 14 layout transforms in the graph; it leaves none."""
    assert sum(PROBES["convert_twice_and_back"]["back_to_nchw"].values()) == 14
    module = networks.network("tiny_residual_deep_first")
    there = convert_layout(module, HWNC)
    back = convert_layout(there, {"nn.conv2d": ["NCHW", "default"]})
    assert networks.called(back) == networks.called(module)
    tvm.ir.assert_structural_equal(convert_layout(there, HWNC), there)


def test_deviation_order_of_passes_costs_a_transform():
    """Recast before ConvertLayout took 7 transforms instead of 6, as casts were not shared; either order takes 6."""
    recorded = PROBES["order_of_passes"]
    assert recorded["recast_then_convert"]["n_layout_transform"] == 7
    assert recorded["convert_then_recast"]["n_layout_transform"] == 6
    module = networks.network("tiny_residual_deep_first")
    with LayoutConfig([0]):
        first = convert_layout(recast(module, "int8", "int32", skip_layers=[0]), HWNC)
        second = recast(convert_layout(module, HWNC), "int8", "int32", skip_layers=[0])
    assert [networks.called(each).count("relax.permute_dims") for each in (first, second)] == [6, 6]


ERRORS = {
    "desired_hwcn_default": (["HWCN", "default"], "no-default-kernel"),
    "desired_nchw4c_default": (["NCHW4c", "default"], "unknown-layout"),
    "desired_nchw4c_oihw4o4i": (["NCHW4c", "OIHW4o4i"], "unknown-layout"),
    "desired_default_default": (["default", "default"], "unknown-layout"),
    "desired_one_entry_only": (["HWNC"], "two-layouts"),
    "desired_unknown_layout": (["XYZ", "default"], "unknown-layout"),
}


@pytest.mark.parametrize("probe", ERRORS)
def test_layouts_that_were_errors_are_errors(probe):
    """With a name, and with what to write instead, where there was an assertion or a diagnostic."""
    layouts, slug = ERRORS[probe]
    assert "error" in PROBES[probe]
    with pytest.raises(UtilityError) as raised:
        convert_layout(networks.network("tiny_chain_odd"), {"nn.conv2d": layouts})
    assert [problem.slug for problem in raised.value.problems] == [slug]


@pytest.mark.parametrize("name", ["dcgan_b1", "tiny_transpose"])
def test_transposed_convolutions_in_hwnc_are_an_error(name):
    """As there: no kernel layout belongs to it."""
    assert networks.variant_of(name, "transpose_hwnc")["error"] == "Layout HWNC is not yet supported."
    with pytest.raises(UtilityError, match=r"no default kernel layout belongs to HWNC for nn\.conv2d_transpose"):
        convert_layout(networks.network(name), {"nn.conv2d_transpose": ["HWNC", "default"]})


def test_deviation_transposed_convolutions_are_converted():
    """Relay had kernels for them in NHWC; Relax compiles them in NCHW only, so it is an error that says so."""
    recorded = networks.variant_of("tiny_transpose", "transpose_nhwc_noskip")
    assert recorded["layers"][1][:2] == ["NHWC", "HWIO"]
    with pytest.raises(UtilityError, match=r"TVM compiles a nn\.conv2d_transpose in NCHW with the kernel IOHW only"):
        convert_layout(networks.network("tiny_transpose"), {"nn.conv2d_transpose": ["NHWC", "default"]})


def test_deviation_named_kernel_layout_is_not_checked():
    """Any text went through as a kernel layout; one with other axes than a kernel's is refused."""
    with pytest.raises(UtilityError, match=r"NCHW is no layout for nn\.conv2d"):
        convert_layout(networks.network("tiny_chain_odd"), {"nn.conv2d": ["HWNC", "NCHW"]})


# ── modules ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_helper(module):
    """The module with a second function."""
    data = relax.Var("data", relax.TensorType((2,), "float32"))
    body = relax.BlockBuilder().normalize(relax.SeqExpr([], data))
    helper = relax.Function([data], body, data.ty).with_attr("global_symbol", "helper")
    result = module.clone()
    result["helper"] = helper
    return result


def test_deviation_other_functions_are_dropped():
    """Recast returned a module with `main` alone; every function is kept."""
    assert PROBES["recast_keeps_other_functions"] == {"before": ["helper", "main"], "after": ["main"]}
    recasted = recast(with_helper(networks.network("tiny_chain_odd")), "float16", "float32")
    converted = convert_layout(recasted, HWNC)
    for module in (recasted, converted):
        assert {var.name_hint for var in module.get_global_vars()} == {"helper", "main"}
        relax.analysis.well_formed(module)


def test_the_module_given_is_not_changed():
    """A new module comes back, with arguments and result of the same types."""
    module = networks.network("tiny_residual_deep_first")
    before = module.script()
    converted = recast(convert_layout(module, HWNC), "int8", "int32")
    assert module.script() == before
    assert [var.ty for var in converted["main"].params] == [var.ty for var in module["main"].params]
    assert converted["main"].ret_ty == module["main"].ret_ty


def test_names_of_layers_are_kept():
    """A layer is known by its binding's name, and every function ends with another name for its last one."""
    module = networks.network("tiny_residual_deep_first")
    converted = recast(convert_layout(module, HWNC), "int8", "int32")
    names = [[layer.source for layer in survey(each).by_op["nn.conv2d"]] for each in (module, converted)]
    assert names[0] == names[1] == [f"conv_{weight}" for weight in ("w_stem", "w_a1", "w_a2", "w_short", "w_tail")]


def test_deviation_casts_are_doubled():
    """A weight or an activation that two layers read was cast twice, and equal dtypes were cast too."""
    assert PROBES["shared_weight"]["recast_casts"] == {"float32->int8": 4, "int32->float32": 2}
    assert PROBES["recast_same_dtype"]["n_cast"] == 6
    shared = recast(networks.network("tiny_shared_weight"), "int8", "int32")
    same = recast(networks.network("tiny_chain_odd"), "float32", "float32")
    assert networks.called(shared).count("relax.astype") == 5
    assert networks.called(same).count("relax.astype") == 0


def test_result_dtype_that_follows_the_operands():
    """As there, an empty `out_dtype` makes an int8 convolution give int8."""
    assert PROBES["recast_out_dtype_empty"]["layers"]["w0"] == "int8,int8->int8"
    converted = recast(networks.network("tiny_chain_odd"), "int8", "")
    assert left_in("int8", converted) == ["w0", "w1"]


def test_deviation_nothing_to_convert_is_silent():
    """On a network without convolutions the workflow changed nothing and said nothing; that is an error here."""
    unchanged = networks.variant_of("mlp_b1", "seed_hwnc_int4_skip0")
    assert (unchanged["transforms"], unchanged["casts"]) == (0, 0)
    module = networks.network("mlp_b1")
    for call in (lambda: convert_layout(module, HWNC), lambda: recast(module, "int4", "int32")):
        with pytest.raises(UtilityError, match=r"the module has no nn.conv2d\n  help: it has reshape, nn.dense, add"):
            call()
    assert recast(module, "int8", "int32", ["nn.conv2d", "nn.dense"]) is not None  # one of them is enough


def test_unknown_names_are_errors():
    """As there, but in one's own words: operators and dtypes, with the nearest one that exists."""
    module = networks.network("tiny_single")
    with pytest.raises(UtilityError, match=r"Relax has no operator concatenate\n  help: did you mean"):
        count_layers(module, ["concatenate"])
    with pytest.raises(UtilityError, match=r"unknown dtype `int5`\n  help: did you mean"):
        recast(module, "int5", "int32")
    with pytest.raises(UtilityError, match=r"nn\.relu has no layout of its own"):
        convert_layout(networks.network("tiny_chain_odd"), {"nn.relu": ["HWNC", "default"]})


def test_no_operators_change_nothing():
    """As there: an empty list of operators, an empty map of layouts."""
    module = networks.network("tiny_single")
    assert count_layers(module, []) == 0
    for unchanged in (recast(module, "int8", "int32", []), convert_layout(module, {})):
        assert networks.called(unchanged) == networks.called(module)


def test_deviation_tuple_results_crash():
    """Batch norm gives a tuple: an AttributeError from inside the pass there, an error with a name here."""
    assert PROBES["recast_op_batch_norm"]["error"]["type"] == "AttributeError"
    with pytest.raises(UtilityError, match=r"nn\.batch_norm#0 has 3 results and 5 operands"):
        recast(networks.network("resnet18_32px_b1"), "float16", "float16", ["nn.batch_norm"])


def test_a_computed_tuple_is_cast_field_by_field():
    """The concatenate of what a call has split was counted there and left as it was."""
    net = networks.Net((2, 8, 6, 6))
    module = net.build(
        lambda net: net.emit(relax.op.concat(net.emit(relax.op.split(net.data, 2, 1), "parts"), 1), "joined")
    )
    joined = survey(recast(module, "float16", "", ["concat"])).by_op["concat"][0]
    assert [operand.type.dtype for operand in joined.operands] == ["float16", "float16"]
    assert joined.results[0].dtype == "float16"


def test_the_docs_name_every_deviation():
    """And no test that there is not. Relay has a table of its own, and a test beside it."""
    page = (Path(__file__).parents[3] / "docs" / "from-relay.md").read_text(encoding="utf-8")
    section = page.partition("\n## What answers otherwise\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(test_deviation_\w+)`", section)) == {
        name for name in globals() if "test_deviation_" in name
    }
