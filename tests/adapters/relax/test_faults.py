"""Whose fault it is that a model cannot be read: that of the file where ONNX's checker says so, and else ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from corecast.adapters.faults import of_its_file
from corecast.adapters.relax import Model, ModelError
from corecast.lang import CorecastError, Problem

SOUND = """
<ir_version: 8, opset_import: ["" : 13]>
net (float[1,4] x) => (float[1,4] y) { y = Relu(x) }
"""


def reader(error: Exception) -> Callable[[object], Model]:
    @of_its_file
    def read(_: object) -> Model:
        raise error

    return read


def test_what_is_wrong_with_a_damaged_file_is_told_as_that(onnx_file: Callable[[str], Path]) -> None:
    """Whatever exception it became on the way."""
    path = onnx_file(SOUND)
    model = onnx.load(str(path))
    del model.graph.node[0].input[:]
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"model\.onnx: error\[damaged-model\]: this is a damaged model: .*input"):
        reader(IndexError("list index out of range"))(path)


def test_a_sound_file_is_not_blamed_for_a_fault_of_ours(onnx_file: Callable[[str], Path]) -> None:
    """It stays what it is, with its traceback."""
    with pytest.raises(IndexError):
        reader(IndexError("list index out of range"))(onnx_file(SOUND))


def test_a_file_of_another_kind_is_not_asked_about_by_onnx(tmp_path: Path) -> None:
    """A module saved as JSON is no damaged ONNX file."""
    path = tmp_path / "module.json"
    path.write_text("{}")
    with pytest.raises(IndexError):
        reader(IndexError())(path)


def test_errors_that_say_what_is_wrong_get_the_file_in_front() -> None:
    """Of any kind; a module that is at hand has no file."""
    with pytest.raises(CorecastError, match=r"^here: node a: error\[slug\]: message$"):
        reader(CorecastError(Problem("slug", "message", place="node a")))("here")
    with pytest.raises(CorecastError, match=r"^node a: error\[slug\]: message$"):
        reader(CorecastError(Problem("slug", "message", place="node a")))(object())
