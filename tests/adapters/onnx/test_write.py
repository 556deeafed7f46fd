"""A converted file appears whole or not at all, is one that ONNX takes, and says what it was made from."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_networks as networks
import pytest
from onnx import numpy_helper

from corecast.adapters.onnx import (
    Conversion,
    ModelError,
    ModelFileError,
    RealisedError,
    apply,
    load,
    original_of,
    read_model,
    survey,
    write,
    write_model,
)

NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,3,8,8] x, float[32,3,3,3] w, float[32] b, float[32,32,1,1] w1) => (float[1,32,6,6] y)
{
    [conv] a = Conv(x, w, b)
    [relu] c = Relu(a)
    [last] y = Conv(c, w1)
}
"""
RULES = "match nn.conv2d #0, cast float16"


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(networks.proto_of(NETWORK), path)
    return path


def convert(path: Path, rules: str = RULES, **options: object) -> Conversion:
    model = load(path, **options)
    return apply(networks.planned(rules, survey(model)), model)


def test_a_written_model_says_what_it_is(model_file: Path, tmp_path: Path) -> None:
    """Its plan, its original by a path from where it lies, and what was realised."""
    conversion = convert(model_file)
    (tmp_path / "out").mkdir()
    path = write_model(conversion, tmp_path / "out" / "converted.onnx")
    converted = read_model(path)
    assert converted.plan == conversion.plan
    assert converted.report.realised == conversion.realised
    assert converted.report.origin.path == "../model.onnx"
    assert converted.report.origin.sha256 == f"sha256:{hashlib.sha256(model_file.read_bytes()).hexdigest()}"
    assert survey(converted.model).layers == conversion.after.layers
    assert survey(original_of(converted)) == conversion.before


def test_what_the_model_said_of_itself_stays(model_file: Path, tmp_path: Path) -> None:
    """And a model that was converted before says what was done to it last."""
    proto = onnx.load(model_file)
    proto.producer_name = "somebody"
    proto.metadata_props.add(key="licence", value="theirs")
    onnx.save(proto, model_file)
    first = write_model(convert(model_file), tmp_path / "first.onnx")
    second = write_model(convert(first, "match nn.relu, cast float16"), tmp_path / "second.onnx")
    found = onnx.load(second)
    assert found.producer_name == "somebody"
    assert [item.key for item in found.metadata_props] == ["licence", "corecast.plan", "corecast.report"]
    assert read_model(second).report.origin.path == "first.onnx"


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_it_leaves_nothing(
    stop: BaseException, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or an interrupt, when all is written and being checked."""

    def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr(write, "check", stopped)
    with pytest.raises(type(stop)):
        write_model(convert(model_file), tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("name", ["out.onnx", "out.onnx.data"])
def test_nothing_is_overwritten(name: str, model_file: Path, tmp_path: Path) -> None:
    """Neither a file of that name, nor one where its weights would go."""
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(ModelFileError, match="exists already"):
        write_model(convert(model_file), tmp_path / "out.onnx")
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def weights_of(path: Path) -> dict[str, np.ndarray]:
    model = load(path)
    return {name: model.array(name) for name in model.initializers}


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The model with its weights in a file beside it."""
    path = tmp_path / "large" / "model.onnx"
    path.parent.mkdir()
    onnx.save(networks.proto_of(NETWORK), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_weights_in_a_file_beside_the_model_go_into_one_of_their_own(beside: Path, tmp_path: Path) -> None:
    """Cast on their way from one file to the other; the new model needs nothing of the old one."""
    before = weights_of(beside)
    path = write_model(convert(beside), tmp_path / "out.onnx")
    assert not any(tensor.raw_data for tensor in onnx.load(path, load_external_data=False).graph.initializer[:1])
    (beside.parent / "w.bin").unlink()
    after = weights_of(path)
    assert {name: str(array.dtype) for name, array in after.items()} == {
        **dict.fromkeys(("w", "b"), "float16"),
        "w1": "float32",
    }
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name].astype(array.dtype))


def test_a_weight_that_does_not_fit_is_told(beside: Path) -> None:
    """Also one that lies in a file beside the model."""
    proto = onnx.load(beside)
    (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == "w")
    tensor.CopyFrom(numpy_helper.from_array(np.full((32, 3, 3, 3), 1e6, np.float32), "w"))
    onnx.save(proto, beside, save_as_external_data=True, location="w2.bin", size_threshold=0)
    (warning,) = convert(beside).warnings
    assert warning.slug == "cast-overflow"
    assert warning.message.startswith("864 of the 864 values of the weight w lie beyond what float16 holds")


def test_a_model_too_large_for_one_file_is_two(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is lowered here: two gibibytes are much for a test."""
    monkeypatch.setattr(write, "MOST_BYTES_IN_ONE_FILE", 1000)
    conversion = convert(model_file)
    path = write_model(conversion, tmp_path / "out.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "out.onnx", "out.onnx.data"]
    for name, array in weights_of(path).items():
        np.testing.assert_array_equal(array, conversion.converted.array(name))


def test_another_original_is_not_taken_for_it(model_file: Path, tmp_path: Path) -> None:
    """One byte of one weight is enough."""
    path = write_model(convert(model_file), tmp_path / "out.onnx")
    onnx.save(networks.proto_of(NETWORK, seed=1), model_file)
    with pytest.raises(ModelFileError, match="not the file that"):
        original_of(read_model(path))


def test_an_original_that_was_moved_can_be_named(model_file: Path, tmp_path: Path) -> None:
    """Its content is what counts."""
    path = write_model(convert(model_file), tmp_path / "out.onnx")
    moved = model_file.rename(tmp_path / "moved.onnx")
    with pytest.raises(ModelError, match="there is no such file"):
        original_of(read_model(path))
    assert original_of(read_model(path), moved).name == "moved.onnx"


def test_shapes_that_were_given_are_part_of_the_original(model_file: Path, tmp_path: Path) -> None:
    """And so is a fill of the weights."""
    options = {"shapes": {"x": (2, 3, 10, 10)}, "weights": "random:3"}
    path = write_model(convert(model_file, **options), tmp_path / "out.onnx")
    original = original_of(read_model(path))
    assert original.inputs["x"].shape == (2, 3, 10, 10)
    np.testing.assert_array_equal(original.array("w"), load(model_file, weights="random:3").array("w"))


def test_a_file_that_was_not_converted_says_so(model_file: Path) -> None:
    """There is nothing that it could be checked against."""
    with pytest.raises(ModelFileError, match="corecast did not write it"):
        read_model(model_file)


def unknown_attribute(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].attribute.add(name="speed", type=onnx.AttributeProto.INT, i=9)


def test_a_model_that_onnx_does_not_take_is_the_caller_s_matter(model_file: Path, tmp_path: Path) -> None:
    """Told as what it is, and nothing is written."""
    proto = onnx.load(model_file)
    unknown_attribute(proto)
    model_file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"does not take model\.onnx as it is"):
        write_model(convert(model_file), tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unknown_attribute, "does not take the converted model"),
        (lambda proto: setattr(proto.graph.node[1], "name", "other"), "node conv.*it is gone"),
    ],
)
def test_a_converted_model_that_is_not_right_is_our_fault(
    damage: Callable[[onnx.ModelProto], None],
    message: str,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether ONNX says so, or what was read back does."""
    plain = write.save

    def damaged(model: object, path: Path, *metadata: object) -> None:
        plain(model, path, *metadata)
        if metadata:  # the converted one, not the original
            proto = onnx.load(path)
            damage(proto)
            path.write_bytes(proto.SerializeToString())

    monkeypatch.setattr(write, "save", damaged)
    with pytest.raises(RealisedError, match=message):
        write_model(convert(model_file), tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
