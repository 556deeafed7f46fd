"""Carrying out: what a model had of transposes and casts itself, and what cannot follow a layout."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from tvm import relax

from corecast.adapters.relax import Conversion, Model, apply, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import plan
from corecast.verify import difference

OWN_PAIRS = """
data: float32 1x8x8x8
nn.conv2d#0(data, %w0: float32 8x8x3x3) -> float32 1x8x6x6 @conv0
permute_dims#0(nn.conv2d#0) axes=[0, 2, 3, 1] -> float32 1x6x6x8 @there
permute_dims#1(permute_dims#0) axes=[0, 3, 1, 2] -> float32 1x8x6x6 @back
astype#0(permute_dims#1) dtype="float64" -> float64 1x8x6x6 @wide
astype#1(astype#0) dtype="float32" -> float32 1x8x6x6 @narrow
nn.conv2d#1(astype#1, %w1: float32 8x8x3x3) -> float32 1x8x4x4 @conv1
return nn.conv2d#1
"""


def converted(original: Model, rules: str) -> Conversion:
    prepared = prepare(original)
    table = survey(prepared)
    return apply(plan(read_recipe(Source("case.rules", rules), table), table), prepared)


def test_what_is_kept_of_a_models_own_pairs_may_cancel() -> None:
    """A transpose that another one undoes is gone after `keep`, and nothing is wrong with that."""
    conversion = converted(networks.model_of(OWN_PAIRS), "match *, keep")
    assert [layer.op for layer in conversion.after.layers] == ["nn.conv2d", "nn.conv2d"]
    assert (conversion.realised.layout_transforms, conversion.realised.casts) == (0, 0)


@pytest.mark.parametrize("rules", ["match nn.conv2d, set layout HWNC", "match nn.conv2d, cast float16"])
def test_what_was_added_is_never_less_than_nothing(rules: str) -> None:
    """Counted by name: a transpose of the model's own that is gone is none that was added."""
    realised = converted(networks.model_of(OWN_PAIRS), rules).realised
    assert realised.layout_transforms >= 0
    assert realised.casts >= 0
    assert realised.layout_transforms + realised.casts > 0


def resizing(batch: int) -> Model:
    """Two convolutions with a resize between them."""
    data = relax.Var("data", relax.TensorType((batch, 4, 6, 6), "float32"))
    weights = [relax.Var(f"w{number}", relax.TensorType((4, 4, 1, 1), "float32")) for number in range(2)]
    builder = relax.BlockBuilder()
    with builder.function("main", [data, *weights]):
        with builder.dataflow():
            resized = builder.emit(relax.op.image.resize2d(relax.op.nn.conv2d(data, weights[0]), (12, 12)), "resized")
            out = builder.emit_output(relax.op.nn.conv2d(resized, weights[1]))
        builder.emit_func_output(out)
    module = builder.get()
    module["main"] = module["main"].with_attr("num_input", 1)
    random = np.random.default_rng(0)
    arrays = {var.name: random.standard_normal((4, 4, 1, 1)).astype("float32") for var in weights}
    return Model(module, arrays, "resizing")


@pytest.mark.parametrize(("batch", "layout", "transforms"), [(2, "NCHW", 4), (1, "NHWC", 2)])
def test_resizing_runs_in_the_layouts_that_tvm_lowers_it_in(batch: int, layout: str, transforms: int) -> None:
    """HWNC is none of them, so two transposes stand around it; a single image lies in HWNC as in NHWC, which is one."""
    conversion = converted(resizing(batch), "match nn.conv2d, set layout HWNC")
    (resize,) = conversion.after.by_op["image.resize2d"]
    assert resize.attributes["layout"] == layout
    assert conversion.realised.layout_transforms == conversion.plan.predicted.layout_transforms == transforms
    error = difference(networks.outputs(conversion.original), networks.outputs(conversion.converted))
    assert error.max_relative < 1e-4
