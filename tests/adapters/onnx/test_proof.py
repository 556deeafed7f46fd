"""The verdict on a converted ONNX model: what it sees, what it cannot see, and what runs it."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import onnx_networks as networks
import pytest

from corecast.adapters.onnx import Conversion, Model, apply, runner, runtime, survey, verify_models
from corecast.adapters.onnx.emulate import emulate, emulated_dtypes
from corecast.adapters.onnx.softmax import before_softmax
from corecast.verify import Verification

NETWORK = """
<ir_version: 10, opset_import: ["" : 22]>
net (float[2,3,8,8] x, float[8,3,3,3] w, float[8,10] w1) => (float[2,10] y)
{
    [conv] a = Conv(x, w)
    [relu] b = Relu(a)
    [pool] c = GlobalAveragePool(b)
    [flat] d = Flatten(c)
    [dense] e = MatMul(d, w1)
    [softmax] y = Softmax(e)
}
"""


def converted(rules: str, text: str = NETWORK) -> Conversion:
    model = networks.model_of(text)
    return apply(networks.planned(rules, survey(model)), model)


def verified(conversion: Conversion, other: Model | None = None) -> Verification:
    return verify_models(conversion.plan, conversion.original, other or conversion.converted)


@pytest.fixture(params=["ONNX Runtime", "the reference"])
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With ONNX Runtime and without it."""
    if request.param == "the reference":
        monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    else:
        pytest.importorskip("onnxruntime")
    return request.param


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_passes_before_the_softmax_and_its_control_is_seen(dtype: str) -> None:
    """The difference is that of the dtype: neither nothing, nor more than its tolerance."""
    verification = verified(converted(f"match nn.conv2d or nn.dense, cast {dtype}"))
    assert verification.verdict == "pass"
    assert 1e-5 < verification.error.max_relative < verification.tolerance < verification.control.max_relative
    assert verification.compared == f"outputs before the softmax, {dtype} rounded after each node"
    assert verification.control_layer == "nn.conv2d#0"


def test_another_model_fails() -> None:
    """One with another weight is another model."""
    conversion = converted("match nn.conv2d, cast float16")
    weight = conversion.converted.array("w")
    other = replace(conversion.converted, late={"w": lambda: weight[::-1]})
    assert verified(conversion, other).verdict == "fail"


def test_a_plan_that_changes_no_layer_with_a_weight_is_not_proven() -> None:
    """Nothing could be disturbed to test the check."""
    assert verified(converted("match nn.relu, cast float16")).verdict == "vacuous"


def test_a_model_that_nothing_here_runs_is_not_proven() -> None:
    """An operator of another domain, without a kernel."""
    text = """
    <ir_version: 8, opset_import: ["" : 17, "elsewhere" : 1]>
    net (float[4,8] x, float[8,8] w) => (float[4,8] y) <float[4,8] b>
    { a = MatMul(x, w) b = elsewhere.Op(a) y = Relu(b) }
    """
    verification = verified(converted("match nn.dense, cast float16", text))
    assert verification.verdict == "cannot-run-here"
    assert "elsewhere" in verification.reason


def test_a_large_model_needs_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX's reference would take minutes; it says what to install instead."""
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    monkeypatch.setattr(runtime, "MOST_FLOPS_OF_THE_REFERENCE", 1000)
    verification = verified(converted("match nn.conv2d, cast float16"))
    assert verification.verdict == "cannot-run-here"
    assert "ONNX Runtime is not installed" in verification.reason


def test_a_small_model_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to be looked for."""
    plain = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        assert name != "onnxruntime"
        return plain(name, *rest)

    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert verified(converted("match nn.conv2d, cast float16")).verdict == "pass"


CHAIN = """
<ir_version: 8, opset_import: ["" : 17]>
net ({dtype}[64] x) => ({dtype}[64] z)
{{
    y = Mul(x, x)
    z = Add(y, x)
}}
"""


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize(("name", "dtype"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_each_node_rounds_its_result(name: str, dtype: Any) -> None:
    """To the last bit as numpy rounds it; ONNX Runtime alone would round at the end of the chain only."""
    model = networks.model_of(CHAIN.format(dtype=name))
    assert emulated_dtypes(model) == (name,)
    x = np.random.default_rng(0).standard_normal(64).astype(dtype)
    (found,) = runner(emulate(model))({"x": x})
    assert str(found.dtype) == name
    np.testing.assert_array_equal(found, (x * x) + x)


def test_a_float32_model_is_carried_as_it_is() -> None:
    """There is nothing to round."""
    model = networks.model_of(CHAIN.format(dtype="float"))
    assert emulated_dtypes(model) == ()
    assert networks.script(emulate(model)) == networks.script(model)


def test_a_model_is_cut_before_what_only_reshapes_a_softmax() -> None:
    """And one that ends otherwise is not cut."""
    assert before_softmax(networks.model_of(NETWORK)).outputs == ["e"]
    assert before_softmax(networks.model_of(CHAIN.format(dtype="float"))) is None


def test_each_output_is_cut_by_itself() -> None:
    """A model can return classes and features."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[4,8] x) => (float[4,8] y, float[8,4] z, float[4,8] a)
    {
        a = Relu(x)
        y = Softmax(a)
        b = Sigmoid(x)
        c = LogSoftmax(b)
        z = Transpose(c)
    }
    """
    assert before_softmax(networks.model_of(text)).outputs == ["a", "b"]
