"""Bundles of Relay modules: the form of the Relax ones, with the weights beside the module, whole or not at all."""

import json

import numpy as np
import pytest
import tvm
from relay.relay_networks import WORKFLOW, chain, plan_of
from tvm import relay
from tvm.ir import IRModule

from corecast.adapters import bundle as bundles
from corecast.adapters.bundle import BundleError
from corecast.adapters.relay import apply, load, read_bundle, survey, write_bundle
from corecast.adapters.toolchain import NoRelaxError
from corecast.adapters.weights_file import read_weights
from corecast.lang import CorecastError

PARTS = ["module.json", "plan.yaml", "report.json", "weights.safetensors"]


def with_constants() -> IRModule:
    """Two convolutions: the first one's weight and a scale are constants, the second one's weight is an argument."""
    random = np.random.default_rng(0)
    data, weight = relay.var("data", shape=(8, 32, 8, 8)), relay.var("w", shape=(32, 32, 3, 3))
    stem = relay.const(random.standard_normal((32, 32, 3, 3)).astype("float32"))
    value = relay.nn.conv2d(data, stem, padding=(1, 1), channels=32, kernel_size=(3, 3))
    value = relay.multiply(value, relay.const(np.float32(0.5)))
    value = relay.nn.conv2d(value, weight, padding=(1, 1), channels=32, kernel_size=(3, 3))
    return relay.transform.InferType()(IRModule.from_expr(value))


@pytest.fixture
def conversion():
    module = with_constants()
    return apply(plan_of(WORKFLOW, module), module)


def test_a_bundle_reads_back(conversion, tmp_path):
    """Weights that are constants lie beside the module, a scale stays in it, and both are constants again."""
    bundle = write_bundle(conversion, tmp_path / "bundle")
    again = read_bundle(tmp_path / "bundle")
    assert tvm.ir.structural_equal(again.model.module, relay.transform.InferType()(conversion.converted))
    assert (again.plan, again.report) == (bundle.plan, bundle.report)
    assert [layer.id for layer in survey(again.model).layers] == [layer.id for layer in conversion.after.layers]
    assert {name: array.shape for name, array in read_weights(tmp_path / "bundle" / "weights.safetensors").items()} == {
        "constant0": (32, 32, 3, 3)
    }


def test_other_weights_are_another_module(conversion, tmp_path):
    """The twin of the test above: what is read is what the weights file holds."""
    write_bundle(conversion, tmp_path / "bundle")
    file = tmp_path / "bundle" / "weights.safetensors"
    bundles.write_weights({"constant0": read_weights(file)["constant0"] * 2}, file)
    assert not tvm.ir.structural_equal(read_bundle(tmp_path / "bundle").model.module, conversion.converted)


def test_a_name_that_is_taken_is_left_to_its_argument(tmp_path):
    module = with_constants()
    main = module["main"]
    taken = relay.var("constant0", main.params[1].checked_type)
    module = IRModule.from_expr(relay.Function([main.params[0], taken], relay.bind(main.body, {main.params[1]: taken})))
    write_bundle(apply(plan_of(WORKFLOW, module), module), tmp_path / "bundle")
    assert [var.name_hint for var in _stored(tmp_path)["main"].params] == ["data", "constant0", "constant1"]


def _stored(tmp_path) -> IRModule:
    return tvm.ir.load_json((tmp_path / "bundle" / "module.json").read_text())


def test_the_report_names_the_ir_and_the_tvm(conversion, tmp_path):
    write_bundle(conversion, tmp_path / "bundle")
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    assert (report["ir"], report["tvm"], report["model"]) == ("relay", tvm.__version__, "module")
    counted = {name: number for name, number in report["realised"].items() if number}
    assert counted == {"layers": 2, "layout_transforms": 2, "casts": 2}
    text = (tmp_path / "bundle" / "module.txt").read_text()
    assert 'data_layout="HWNC"' in text
    assert text.startswith("#[version")


def test_the_origin_is_the_file_that_was_loaded(tmp_path):
    (tmp_path / "model.json").write_text(tvm.ir.save_json(with_constants()))
    model = load(tmp_path / "model.json")
    assert model.name == survey(model).model == "model.json"
    bundle = write_bundle(apply(plan_of(WORKFLOW, model.module), model), tmp_path / "bundle")
    assert bundle.report.origin.path == str((tmp_path / "model.json").resolve())
    assert bundle.report.origin.sha256 == model.origin.sha256


def test_what_stops_a_bundle_leaves_nothing(conversion, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(bundles, "write_weights", full)
    with pytest.raises(OSError, match="No space"):
        write_bundle(conversion, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(conversion, tmp_path):
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(conversion, tmp_path / "bundle")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_is_named(conversion, part, tmp_path):
    write_bundle(conversion, tmp_path / "bundle")
    (tmp_path / "bundle" / part).unlink()
    with pytest.raises(BundleError, match=rf"{part}: error\[damaged-bundle\]: it is missing"):
        read_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_damaged_is_an_error(conversion, part, tmp_path):
    write_bundle(conversion, tmp_path / "bundle")
    (tmp_path / "bundle" / part).write_text('{"root": 1}')
    with pytest.raises(CorecastError, match=rf"{part}: error\[damaged-"):
        read_bundle(tmp_path / "bundle")


def test_the_weights_of_another_module_are_an_error(conversion, tmp_path):
    write_bundle(conversion, tmp_path / "bundle")
    bundles.write_weights({"other": np.zeros(32, "float32")}, tmp_path / "bundle" / "weights.safetensors")
    with pytest.raises(BundleError, match=r"weights\.safetensors: .*: it does not hold the parameters of module\.json"):
        read_bundle(tmp_path / "bundle")


def test_a_relax_bundle_is_refused_by_its_name(conversion, tmp_path):
    """Also one of the first, whose report says no IR."""
    write_bundle(conversion, tmp_path / "bundle")
    file = tmp_path / "bundle" / "report.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "ir"}))
    with pytest.raises(NoRelaxError, match=r"bundle holds a Relax module, and this TVM is one with Relay"):
        read_bundle(tmp_path / "bundle")


def test_a_module_without_constants_has_no_weights_beside_it(tmp_path):
    module = chain(("a", 32), ("b", 32))
    write_bundle(apply(plan_of(WORKFLOW, module), module), tmp_path / "bundle")
    assert read_weights(tmp_path / "bundle" / "weights.safetensors") == {}
    assert [var.name_hint for var in read_bundle(tmp_path / "bundle").model.module["main"].params] == ["data", "a", "b"]
