"""The calibration file: the range in which each value of a model lay on real data, and how that was found.

Values are named as calibration and conversion both see them: an input by its name, what a layer makes by the layer's
id (`nn.relu#3`), further results of it with their number (`split#0:1`). Weights are not in it: their ranges are read
from their values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from corecast.lang.problems import CorecastError, Problem
from corecast.model import LayerTable
from corecast.model.files import FormatVersion, first_objection

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class CalibrationError(CorecastError):
    """A calibration that is damaged, of another model, or without a value that is needed."""


class Range(BaseModel):
    """The lowest and the highest value that is to be told from others; what lies beyond is cut off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: _Finite
    high: _Finite

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"the lowest value, {self.low:g}, is above the highest, {self.high:g}")
        return self

    def union(self, other: Range) -> Range:
        """The smallest range that holds both."""
        return Range(low=min(self.low, other.low), high=max(self.high, other.high))


class CalibratedModel(BaseModel):
    """Which model was observed: the name and the fingerprint of its layer table, as in a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str

    @classmethod
    def of(cls, table: LayerTable) -> CalibratedModel:
        return cls(name=table.model, fingerprint=table.fingerprint)


class Calibration(BaseModel):
    """The ranges of a model's values. `method` says how they were taken from `samples` inputs: `percentile 99.99`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: FormatVersion = 1
    model: CalibratedModel
    method: str
    samples: int = Field(ge=1)
    ranges: dict[str, Range]

    def check(self, table: LayerTable) -> None:
        """Raise `CalibrationError` where the ranges are those of another model."""
        if self.model.fingerprint != table.fingerprint:
            message = f"this calibration was made for another model, or for other shapes of it: {self.model.name}"
            help = (
                "make it anew: `corecast calibrate RULES MODEL --data DIR -o calibration.json`, "
                "with `--ir onnx` for what stays an ONNX file, and without it for a bundle"
            )
            raise CalibrationError(Problem("calibration-mismatch", message, help=help, place=table.model))


def format_calibration(calibration: Calibration) -> str:
    """A calibration as the JSON text that `parse_calibration` reads."""
    return calibration.model_dump_json(indent=2) + "\n"


def parse_calibration(text: str, name: str = "<string>") -> Calibration:
    """Read what `format_calibration` printed. Raises `CalibrationError`."""
    try:
        return Calibration.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(name, first_objection(error)) from error


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file. Raises `OSError`, and `CalibrationError` with what is wrong with its text."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(str(path), "it is not UTF-8 text") from error
    return parse_calibration(text, str(path))


def _damaged(name: str, reason: str) -> CalibrationError:
    help = "make it anew: `corecast calibrate RULES MODEL --data DIR -o calibration.json`"
    return CalibrationError(
        Problem("damaged-calibration", f"this is not a calibration: {reason}", help=help, place=name)
    )
