"""The utilities of TVM PR #6748 against what the originals were recorded to do, network by network.

Where the original's answer is a defect the rows differ; `DEVIATIONS` names those, and `test_origin_deviations.py` shows
each of them beside ours.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import golden_networks as networks
import numpy as np
import pytest
import tvm
from tvm import relax

from corecast.adapters.relax import (
    LayoutConfig,
    Model,
    before_softmax,
    convert_layout,
    count_layers,
    emulate,
    fold,
    recast,
    survey,
)

# Variants in which recast's numbering of the original left out other layers than the ones that were meant: how many
# rows are equal nevertheless.
DEVIATIONS = {
    ("densenet121_b1", "seed_hwnc_int4_skip0"): 120,
    ("densenet121_b1", "hwnc_int8_skip0_2_5"): 118,
    ("densenet121_b1", "hwnc_int8_skip_last"): 106,
    ("densenet121_b1", "recast_conv_dense_int8_skip_first_last"): 120,
    ("tiny_concat", "seed_hwnc_int4_skip0"): 1,
    ("tiny_concat", "hwnc_int8_skip0_2_5"): 0,
    ("tiny_concat", "recast_conv_dense_int8_skip_first_last"): 1,
    ("tiny_identity_short_first", "seed_hwnc_int4_skip0"): 1,
    ("tiny_identity_short_first", "hwnc_int8_skip0_2_5"): 0,
    ("tiny_identity_short_first", "hwnc_int8_skip_last"): 2,
    ("tiny_identity_short_first", "recast_conv_dense_int8_skip_first_last"): 2,
    ("tiny_residual_short_first", "seed_hwnc_int4_skip0"): 4,
    ("tiny_residual_short_first", "hwnc_int8_skip0_2_5"): 1,
    ("tiny_residual_short_first", "recast_conv_dense_int8_skip_first_last"): 4,
}

# Networks for which the original count_layers gave less, or more, than the longest chain.
MISCOUNTED = {"densenet121_b1", "tiny_concat", "tiny_identity_short_first", "tiny_residual_short_first"}


def test_the_six_line_workflow():
    """Every convolution but the first in HWNC and int4: the example of the original, with the module of today."""
    module = networks.network("resnet18_b8")

    assert count_layers(module, ["nn.conv2d"]) == 17
    with LayoutConfig(skip_layers=[0]):
        module = convert_layout(module, {"nn.conv2d": ["HWNC", "default"]})
    module = recast(module, "int4", "int32", skip_layers=[0])

    first, *others = survey(module).by_op["nn.conv2d"]
    assert (first.data_layout, first.kernel_layout, str(first.operands[0].type)) == (
        "NCHW",
        "OIHW",
        "float32 8x3x224x224",
    )
    assert {(layer.data_layout, layer.kernel_layout) for layer in others} == {("HWNC", "HWOI")}
    assert {operand.type.dtype for layer in others for operand in layer.operands} == {"int4"}
    assert {layer.results[0].dtype for layer in others} == {"int32"}


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_the_network_is_the_recorded_one(name):
    """Rows with their attributes, names and shapes, the number of calls of each operator, the result's type."""
    recorded = networks.golden(name)
    table = survey(networks.network(name))
    assert [row(layer) for layer in networks.rows(table)] == [
        [cell.split("#")[0] if place == 1 else cell for place, cell in enumerate(row)] for row in recorded["layers"]
    ]
    assert Counter(layer.op for layer in table.layers) == Counter(in_relax(recorded["calls"]))
    assert str(table.returns[0].type) == " ".join(reversed(recorded["result"].split()))


def row(layer):
    """A layer as golden tables have it: a dense layer has no attributes there, and its weight stands units first."""
    data, weight = (operand.type.shape for operand in layer.operands)
    shapes = ["x".join(map(str, shape)) for shape in (data, weight, layer.results[0].shape)]
    if layer.op == "nn.dense":
        shapes[1] = "x".join(map(str, reversed(weight)))
        return [layer.op, layer.name, None, None, None, None, weight[1], None, None, None, *shapes]
    how = layer.attributes
    channels = layer.results[0].shape[layer.data_layout.index("C")]
    kernel = [weight[layer.kernel_layout.index(axis)] for axis in "HW"]
    places = [list(how[key]) for key in ("strides", "padding", "dilation")]
    layouts = [layer.data_layout, layer.kernel_layout]
    return [layer.op, layer.name, layer.groups, *places, channels, kernel, *layouts, *shapes]


def in_relax(calls):
    """Relay's operators under Relax's names; dropout is none at inference."""
    names = {
        "nn.bias_add": "add",
        "concatenate": "concat",
        "nn.batch_flatten": "reshape",
        "nn.global_avg_pool2d": "nn.adaptive_avg_pool2d",
    }
    result = Counter()
    for op, number in calls.items():
        result[names.get(op, op)] += number
    del result["nn.dropout"]
    return result


@pytest.mark.parametrize("name", sorted(set(networks.NETWORKS) - MISCOUNTED))
def test_count_layers(name):
    """The same as the original's wherever no argument order and no tuple misled it."""
    module = networks.network(name)
    has_biases = "nn.bias_add" in networks.golden(name)["calls"]
    for ops, expected in networks.golden(name)["count_layers"].items():
        if ops != "add" or not has_biases:  # Relay's bias_add is an add here
            assert count_layers(module, ops.split("+")) == expected, ops


@pytest.mark.parametrize(("name", "variant"), networks.RECORDED)
def test_layers_transforms_and_casts(name, variant):
    """Layer by layer the same layouts and dtypes, no more transforms and casts than there, and the docs say so."""
    found = networks.parity(name, variant)
    assert documented()[name, variant] == found.cells, (
        "`python docs/parity.py` prints the tables for docs/from-relay.md"
    )
    assert found.equal == DEVIATIONS.get((name, variant), found.layers)
    assert found.transforms <= found.original_transforms
    if (name, variant) not in DEVIATIONS:
        assert found.casts <= found.original_casts


@cache
def documented():
    """The cells of the three tables in the docs for each network and variant."""
    page = Path(__file__).parents[3] / "docs" / "from-relay.md"
    found = defaultdict(tuple)
    for line in page.read_text(encoding="utf-8").splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if first == "network":
            variants = [cell.strip("`") for cell in cells]
        elif first in networks.NETWORKS:
            for variant, cell in zip(variants, cells, strict=True):
                found[first, variant] += (cell,) if cell else ()
    return found


@pytest.mark.parametrize("name", sorted(networks.golden("probes")["skip_index_sweep"]))
def test_each_ordinal_of_layout_config(name):
    """One entry leaves out the convolution that it left out there."""
    swept = networks.golden("probes")["skip_index_sweep"][name]
    module = networks.network(name)
    entries = [(int(entry), skipped) for entry, skipped in swept["layout_skip"].items() if skipped]
    for entry, skipped in entries[:8]:
        with LayoutConfig([entry]):
            converted = convert_layout(module, {"nn.conv2d": ["HWNC", "default"]})
        assert unlike(converted, lambda layer: layer.data_layout == "NCHW") == weights(skipped)


@pytest.mark.parametrize("name", sorted(set(networks.golden("probes")["skip_index_sweep"]) - MISCOUNTED))
def test_each_depth_of_recast(name):
    """One entry, from the front or from the end, leaves out the convolutions that it left out there."""
    swept = networks.golden("probes")["skip_index_sweep"][name]
    module = networks.network(name)
    for entry, skipped in swept["recast_skip"].items():
        if skipped:
            converted = recast(module, "int8", "int32", skip_layers=[int(entry)])
            assert unlike(converted, lambda layer: layer.results[0].dtype == "float32") == weights(skipped)


def unlike(module, is_unlike):
    return [layer.name for layer in survey(module).by_op["nn.conv2d"] if is_unlike(layer)]


def weights(names):
    return [name.split("#")[0] for name in names]


@pytest.mark.parametrize(
    "lists", networks.golden("probes")["recast_skip_lists"].items(), ids=lambda item: item[0] or "[]"
)
def test_lists_of_depths(lists):
    """Neither the order nor a number given twice matters. [99], which was ignored, is an error."""
    entries, recorded = lists
    if entries == "[99]":
        return
    converted = recast(
        networks.network("tiny_residual_deep_first"), "int8", "int32", skip_layers=json.loads(entries)
    )  # fmt: skip
    found = {layer.name: layer for layer in survey(converted).by_op["nn.conv2d"]}
    assert {name: dtypes(layer) for name, layer in found.items()} == recorded


def dtypes(layer):
    return f"{','.join(operand.type.dtype for operand in layer.operands)}->{layer.results[0].dtype}"


DESIRED = {
    "desired_hwnc_default": ("tiny_chain_odd", "HWNC", "default"),
    "desired_hwnc_hwoi": ("tiny_chain_odd", "HWNC", "HWOI"),
    "desired_hwnc_hwio": ("tiny_chain_odd", "HWNC", "HWIO"),
    "desired_hwnc_oihw": ("tiny_chain_odd", "HWNC", "OIHW"),
    "desired_nhwc_default": ("tiny_chain_odd", "NHWC", "default"),
    "desired_nhwc_ohwi": ("tiny_chain_odd", "NHWC", "OHWI"),
    "desired_nchw_default": ("tiny_chain_odd", "NCHW", "default"),
    "desired_hwnc_from_nhwc": ("tiny_nhwc_pair", "HWNC", "default"),
    "desired_nchw_from_nhwc": ("tiny_nhwc_pair", "NCHW", "default"),
    "desired_hwnc_grouped": ("tiny_grouped", "HWNC", "default"),
    "desired_nhwc_grouped": ("tiny_grouped", "NHWC", "default"),
    "desired_hwnc_concat": ("tiny_concat", "HWNC", "default"),
}


@pytest.mark.parametrize("probe", DESIRED)
def test_kernel_layouts(probe):
    """`default` is resolved as it was there, depthwise ones too; a layout given by name is taken as it is."""
    name, *layouts = DESIRED[probe]
    converted = convert_layout(networks.network(name), {"nn.conv2d": layouts})
    found = {layer.name: f"{layer.data_layout}/{layer.kernel_layout}" for layer in survey(converted).by_op["nn.conv2d"]}
    assert found == networks.golden("probes")[probe]["layouts"]


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

RECORDED = networks.golden("numerics")

RUNS = {variant["name"]: variant for variant in RECORDED["variants"]} | {
    "hwnc": {"convert": {"desired_layouts": {"nn.conv2d": ["HWNC", "default"]}}}
}

# Where skip_layers=[0] left out other layers there than the first one: how to leave out the same ones here.
SAID_IN_OURS = {"tiny_concat": [], "tiny_identity_short_first": [1], "tiny_residual_short_first": [0, 1]}


def converted(name, variant):
    """The network with the layers converted that were converted for the recorded numbers."""
    cast = variant.get("recast")
    if cast and cast["skip_layers"] == [0] and name in SAID_IN_OURS:
        variant = {**variant, "recast": {**cast, "skip_layers": SAID_IN_OURS[name]}}
    return networks.carried_out(networks.network(name), variant)


@cache
def results(case_name, *variants):
    """The outputs of some runs; all of them in one build, for linking takes longer than a small network does."""
    case = RECORDED["cases"][case_name]
    models = {variant: runnable(converted(case["network"], RUNS[variant]), case) for variant in variants}
    functions = {tvm.ir.GlobalVar(name): as_function(model, name) for name, model in models.items()}
    machine = relax.VirtualMachine(tvm.compile(tvm.IRModule(functions), "llvm"), tvm.cpu())
    data = networks.arrays(networks.network(case["network"]), case["kind"], case["seed"])["data"]
    return {
        name: machine[name](*map(tvm.runtime.tensor, [data, *model.parameters.values()])).numpy()
        for name, model in models.items()
    }


def runnable(module, case):
    """Weights prepared ahead, dtypes that a CPU lacks emulated, and a softmax at the end left out."""
    arrays = networks.arrays(module, case["kind"], case["seed"])
    del arrays["data"]
    folded = fold(Model(module, arrays, case["network"]))
    return emulate(before_softmax(folded) or folded)


def as_function(model, name):
    # Builds take one function of a name, and no variable in two of them.
    return relax.utils.copy_with_new_vars(model.main).with_attr("global_symbol", name)


@pytest.mark.parametrize("name", networks.TINY)
def test_the_weights_are_the_recorded_ones(name):
    """The rule gives the same arrays here: their sums agree."""
    case = RECORDED["cases"][name]
    arrays = networks.arrays(networks.network(name), case["kind"], case["seed"])
    assert {key: float(array.sum(dtype=np.float64)) for key, array in arrays.items()} == pytest.approx(
        case["input_sums"]
    )


@pytest.mark.parametrize("name", networks.TINY)
def test_numbers(name):
    """Integer runs are exact; float runs agree as closely as their sums are rounded; HWNC changes the last bit only."""
    recorded = RECORDED["cases"][name]["runs"]
    found = results(name, *recorded, "hwnc")
    with np.load(networks.GOLDEN / "numerics.npz") as stored:
        expected = {run: stored[f"{name}/{run}"] for run in recorded}
    for run in recorded:
        if "int" in run:
            np.testing.assert_array_equal(found[run], expected[run])
        else:
            tolerance = 1e-6 if run == "fp32" else 2 * recorded[run]["max_rel_to_fp32"]
            assert_close(found[run], expected[run], tolerance)
    assert_close(found["hwnc"], expected["fp32"], 2e-6)


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * float(np.abs(expected).max()))


@pytest.mark.slow
def test_numbers_of_resnet18():
    """The logits of ResNet-18 on 32x32 pixels, of which place of the largest, norm and the first values were kept."""
    case = "resnet18_32px_b1@sparse"
    recorded = RECORDED["cases"][case]["runs"]
    for run, found in results(case, *recorded).items():
        expected = recorded[run]
        assert int(found.argmax()) == expected["argmax"]
        assert float(np.linalg.norm(found)) == pytest.approx(expected["l2"], rel=1e-5)
        np.testing.assert_allclose(
            found.ravel()[:16], expected["first16"], rtol=0, atol=1e-5 * float(np.abs(found).max())
        )
