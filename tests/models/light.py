"""The nine models that the onnx package ships for tests: published graphs in which every weight is one constant."""

from __future__ import annotations

from pathlib import Path

import onnx
from models.specimen import Specimen

_FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

_CHEAP = {"squeezenet", "shufflenet", "inception_v1"}
_HWNC = {"resnet50", "squeezenet", "inception_v2"}


def specimens() -> list[Specimen]:
    return [_specimen(path.stem.removeprefix("light_")) for path in sorted(_FOLDER.glob("*.onnx"))]


def _specimen(name: str) -> Specimen:
    return Specimen(
        name.removeprefix("bvlc_"),
        "onnx light",
        lambda _: _FOLDER / f"light_{name}.onnx",
        layout="hwnc" if name in _HWNC else "nhwc",
        weights="random:0",
        cheap=name in _CHEAP,
    )
