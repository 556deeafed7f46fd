"""The utilities beside the originals: same layouts and dtypes, casts and layout transforms no more.

Where the answers differ on purpose, `test_deviations.py` shows both.
"""

import numpy as np
import pytest
import tvm
from relay import originals
from relay.originals import HWNC
from relay.relay_networks import NETWORKS, called, chain, network, realised
from tvm import relay
from tvm.contrib import graph_executor

from corecast.adapters.relay import LayoutConfig, UtilityError, convert_layout, count_layers, recast

# dcgan and mlp have no nn.conv2d, which is an error here.
WITH_CONVOLUTIONS = [name for name in NETWORKS if name not in ("dcgan_b1", "mlp_b1", "tiny_transpose")]

# Where entry 0 of recast's skip_layers named the first convolution. Elsewhere it named another or none.
FIRST_IS_ZERO = [
    name
    for name in WITH_CONVOLUTIONS
    if name not in ("densenet121_b1", "tiny_concat", "tiny_residual_short_first", "tiny_identity_short_first")
    and name not in ("resnet18_b8", "resnet50_b1")  # like resnet18_b1, and slow
]


def test_the_workflow_reads_as_it_did():
    module = network("resnet18_b8")
    skip = [0]
    with LayoutConfig(skip_layers=skip):
        module = convert_layout(module, {"nn.conv2d": ["HWNC", "default"]})
    module = recast(module, "int4", "int32", skip_layers=skip)
    assert count_layers(module, ["nn.conv2d"]) == 17
    assert realised(module)[:2] == [
        ("nn.conv2d", "NCHW", "OIHW", "", "float32", "float32", "float32"),
        ("nn.conv2d", "HWNC", "HWOI", "int32", "int4", "int4", "int32"),
    ]


def same_and_no_more(ours, theirs):
    assert realised(ours) == realised(theirs)
    for op in ("cast", "layout_transform"):
        assert called(ours)[op] <= called(theirs)[op], op


# The original infers the types of everything above a layer for each layer, which takes long where there are many.
EVERY_LAYER = [
    *((name, "HWNC") for name in WITH_CONVOLUTIONS),
    *((name, "NHWC") for name in WITH_CONVOLUTIONS if name.startswith(("tiny", "mobilenet"))),
]


@pytest.mark.parametrize(("name", "layout"), EVERY_LAYER)
def test_every_layer_is_converted_as_by_the_original(name, layout):
    layouts = {"nn.conv2d": [layout, "default"]}
    theirs = originals.recast(originals.convert_layout(network(name), layouts), "int8", "int32")
    same_and_no_more(recast(convert_layout(network(name), layouts), "int8", "int32"), theirs)


@pytest.mark.parametrize("name", FIRST_IS_ZERO)
def test_the_first_layer_is_skipped_as_by_the_original(name):
    theirs = originals.recast(originals.convert_layout(network(name), HWNC, [0]), "int8", "int32", skip_layers=[0])
    with LayoutConfig(skip_layers=[0]):
        ours = convert_layout(network(name), HWNC)
    same_and_no_more(recast(ours, "int8", "int32", skip_layers=[0]), theirs)


@pytest.mark.parametrize("skip", [[2], [-1], [0, 5, -2], [1, 3, 20]])
def test_ordinals_and_depths_name_the_layers_that_they_named(skip):
    module = network("resnet18_b1")
    ordinals = [place % 21 for place in skip]  # the original LayoutConfig has no negative entries
    depths = [place for place in skip if place < 17]
    theirs = originals.recast(originals.convert_layout(module, HWNC, ordinals), "int8", "int32", skip_layers=depths)
    with LayoutConfig(skip_layers=skip):
        ours = convert_layout(module, HWNC)
    same_and_no_more(recast(ours, "int8", "int32", skip_layers=depths), theirs)


@pytest.mark.parametrize("ops", [["nn.conv2d", "nn.dense"], ["nn.relu"], ["nn.max_pool2d", "concatenate"]])
@pytest.mark.parametrize("name", ["resnet18_b1", "squeezenet_v11_b1"])
def test_any_operators_can_be_recast_and_counted(name, ops):
    module = network(name)
    if not any(called(module)[op] for op in ops):
        pytest.skip("it has none")
    if "concatenate" not in ops:  # see test_deviation_depth_leaks_over_the_fields_of_a_tuple
        assert count_layers(module, ops) == originals.count_layers(module, ops)
    same_and_no_more(recast(module, "float16", "float16", ops), originals.recast(module, "float16", "float16", ops))


def test_the_result_type_follows_the_operands_where_it_is_left_open():
    (layer, *_) = realised(recast(chain(("w", 32)), "int8", ""))
    assert layer == ("nn.conv2d", "NCHW", "OIHW", "int8", "int8", "int8", "int8")


def test_kernel_layouts_can_be_named():
    module = convert_layout(network("tiny_chain_odd"), {"nn.conv2d": ["HWNC", "OIHW"]})
    assert {layer[1:3] for layer in realised(module)} == {("HWNC", "OIHW")}


def test_a_depthwise_kernel_has_its_own_default():
    layers = realised(convert_layout(network("mobilenet_b1"), {"nn.conv2d": ["NHWC", "default"]}))
    assert {layer[2] for layer in layers if layer[0] == "nn.conv2d"} == {"HWIO", "HWOI"}


def test_of_nested_configurations_the_innermost_decides():
    module = chain(("a", 32), ("b", 32))
    with LayoutConfig([0]), LayoutConfig([1]):
        inner = convert_layout(module, HWNC)
    assert [layer[1] for layer in realised(inner)] == ["HWNC", "NCHW"]


def run(module, data):
    with tvm.transform.PassContext(opt_level=1):
        library = relay.build(module, "llvm")
    executor = graph_executor.GraphModule(library["default"](tvm.cpu()))
    executor.run(**data)
    return executor.get_output(0).numpy()


@pytest.mark.parametrize("name", ["tiny_grouped_nodw", "tiny_shared_weight", "tiny_concat"])
def test_the_answers_are_those_of_the_original(name):
    layouts = {"nn.conv2d": ["NHWC", "default"]}
    random = np.random.default_rng(0)
    data = {}
    for var in network(name)["main"].params:
        shape = [int(size) for size in var.checked_type.shape]
        # Few enough and small enough that nothing leaves int8, in which case neither answer would mean anything.
        data[var.name_hint] = random.choice([-1, 0, 0, 0, 0, 0, 0, 1], shape).astype("float32")
    theirs = originals.recast(originals.convert_layout(network(name), layouts), "int8", "int32")
    ours = recast(convert_layout(network(name), layouts), "int8", "int32")
    np.testing.assert_array_equal(run(ours, data), run(theirs, data))


@pytest.mark.parametrize(
    ("call", "slug"),
    [
        (lambda module: count_layers(module, ["nn.conv"]), "unknown-operator"),
        (lambda module: recast(module, "int7", "int32"), "unknown-dtype"),
        (lambda module: recast(module, "int8", "int32", ["nn.dense"]), "nothing-matched"),
        (lambda module: recast(module, "int8", "int32", skip_layers=[1]), "skip-out-of-range"),
        (lambda module: convert_layout(module, {"nn.relu": ["HWNC", "default"]}), "nothing-matched"),
        (lambda module: convert_layout(module, {"nn.conv2d": ["HWNC"]}), "two-layouts"),
        (lambda module: convert_layout(module, {"nn.conv2d": ["HWNX", "default"]}), "unknown-layout"),
        (lambda module: convert_layout(module, {"nn.conv2d": ["HWCN", "default"]}), "no-default-kernel"),
    ],
)
def test_what_does_not_fit_is_said(call, slug):
    with pytest.raises(UtilityError) as caught:
        call(chain(("w", 32)))
    assert [problem.slug for problem in caught.value.problems] == [slug]


def test_an_operator_without_a_layout_is_named():
    with pytest.raises(UtilityError, match=r"nn\.relu has no layout of its own"):
        convert_layout(network("tiny_single"), {"nn.conv2d": ["HWNC", "default"], "nn.relu": ["HWNC", "default"]})


def test_a_configuration_that_skips_nothing_is_named():
    module = network("tiny_transpose")
    with LayoutConfig([0]), pytest.raises(UtilityError, match=r"it counts nn\.conv2d only"):
        convert_layout(module, {"nn.conv2d_transpose": ["NHWC", "HWIO"]})
