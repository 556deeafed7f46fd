"""The whole way with a real network: load, prepare, survey, and the same answers."""

from collections import Counter

import pytest
from tvm import relax

from corecast.adapters.relax import load, prepare, survey


@pytest.fixture(scope="module")
def models(light):
    original = load(light("resnet50"), weights="random:0")
    return original, prepare(original)


def test_resnet50_is_convolutions_adds_and_activations(models):
    """53 convolutions with their biases, 16 residual adds, one dense layer and its bias; no batch norm, no stack."""
    table = survey(models[1])
    assert Counter(layer.op for layer in table.layers) == {
        "nn.conv2d": 53,
        "add": 53 + 16 + 1,
        "nn.relu": 49,
        "nn.max_pool2d": 1,
        "nn.avg_pool2d": 1,
        "reshape": 1,
        "nn.dense": 1,
        "nn.softmax": 1,
    }
    residual = [layer for layer in table.by_op["add"] if not layer.parameters]
    assert len(residual) == 16


def test_layers_of_resnet50_have_the_names_of_its_nodes_and_weights(models):
    """`n168` is what the file calls the last convolution."""
    last = survey(models[1]).by_op["nn.conv2d"][-1]
    assert (last.source, last.name) == ("n168", "gpu_0/res5_2_branch2c_w_0")


def test_preparing_resnet50_leaves_its_original_as_it_was(models):
    """The original is what every conversion is checked against."""
    assert "nn.batch_norm" in survey(models[0]).by_op


def before_softmax(model):
    """A softmax hides differences: the logits are compared."""
    bindings = [binding for block in model.main.body.blocks for binding in block.bindings]
    place = next(
        i
        for i, binding in enumerate(bindings)
        if getattr(binding.value, "op", None) and binding.value.op.name == "relax.nn.softmax"
    )
    logits = bindings[place].value.args[0]
    out = relax.Var("logits", logits.ty)
    block = relax.DataflowBlock([*bindings[:place], relax.VarBinding(out, logits)])
    body = relax.BlockBuilder().normalize(relax.SeqExpr([block], out))
    main = relax.Function(model.main.params, body, out.ty, attrs=model.main.attrs)
    return model.with_main(main, model.parameters)


@pytest.mark.slow
def test_prepared_resnet50_gives_the_same_logits(models, assert_agree):
    """And the filled weights keep them in a sane range."""
    original, prepared = map(before_softmax, models)
    assert_agree(original, prepared, tolerance=1e-4)
