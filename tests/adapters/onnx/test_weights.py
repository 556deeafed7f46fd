"""Filling weights: by name and seed, by role, and never an integer."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from onnx_networks import light

from corecast.adapters.onnx import ModelError, load
from corecast.adapters.onnx.weights import fill

NET = """
<ir_version: 8, opset_import: ["" : 13]>
net (float[1,16,8,8] x) => (float[N,M] y)
<float[16] gamma, float[16] beta, float[16] mean, float[16] variance, int64[2] flat = {1, -1}, float low = {0}>
{
    s = Constant<value = int64[4] {16,16,3,3}>()
    kernel = ConstantOfShape<value = float[1] {0.02}>(s)
    c = Conv<pads = [1,1,1,1]>(x, kernel)
    b = BatchNormalization(c, gamma, beta, mean, variance)
    d = Clip(b, low)
    y = Reshape(d, flat)
}
"""


def network(text: str = NET) -> onnx.ModelProto:
    model = parser.parse_model(text)
    for value in list(model.graph.input)[1:]:
        model.graph.input.remove(value)
    for name in ("gamma", "beta", "mean", "variance"):
        model.graph.initializer.append(numpy_helper.from_array(np.full(16, 0.5, "float32"), name))
    return model


def tensors(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_every_float_parameter_is_filled_by_its_role():
    """Kernels by fan-in, scales and variances about one, the rest small."""
    found = tensors(fill(network(), "random:0"))
    assert found["kernel"].std() == pytest.approx((1 / (16 * 9)) ** 0.5, rel=0.1)
    assert (found["gamma"] > 0.5).all()
    assert (found["variance"] > 0.5).all()
    assert np.abs(found["beta"]).max() < 0.2
    assert len(set(found["mean"].tolist())) == 16


def test_integers_and_bounds_are_never_touched():
    """A shape operand and the bound of a clip say what to do."""
    found = tensors(fill(network(), "random:0"))
    assert found["flat"].tolist() == [1, -1]
    assert found["low"] == 0


def test_values_depend_on_name_and_seed_only():
    """Other weights, or another order of them, change nothing; another seed everything."""
    model = network()
    tensors_in_order = list(model.graph.initializer)
    del model.graph.initializer[:]
    model.graph.initializer.extend(reversed(tensors_in_order))
    first, turned, other = (
        tensors(fill(*args)) for args in ((network(), "random:0"), (model, "random:0"), (network(), "random:1"))
    )
    for name in ("kernel", "gamma", "mean"):
        assert np.array_equal(first[name], turned[name])
        assert not np.array_equal(first[name], other[name])


def test_the_model_given_is_left_as_it_was():
    """Filling makes another model."""
    model = network()
    before = model.SerializeToString()
    fill(model, "random:0")
    assert model.SerializeToString() == before


@pytest.mark.parametrize("spec", ["random:x", "zeros", "random", "random:-1", ""])
def test_a_bad_spec_says_how_to_write_one(spec):
    """Only `random:SEED` is known."""
    with pytest.raises(ModelError, match="random:SEED") as error:
        load(light("squeezenet"), weights=spec)
    assert error.value.problems[0].slug == "weight-fill"
