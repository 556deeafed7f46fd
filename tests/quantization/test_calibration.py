"""The calibration file: written and read back, and what is refused with its place and the next step."""

from __future__ import annotations

import json

import pytest

from corecast.model import parse_table
from corecast.quantization import (
    CalibratedModel,
    Calibration,
    CalibrationError,
    Range,
    format_calibration,
    parse_calibration,
)

TABLE = parse_table("data: float32 2x8\nnn.relu#0(data) -> float32 2x8\nreturn nn.relu#0", model="network")
FOUND = Calibration(
    model=CalibratedModel.of(TABLE),
    method="min-max",
    samples=3,
    ranges={"data": Range(low=-1.5, high=2.0), "nn.relu#0": Range(low=0.0, high=2.0)},
)


def test_a_calibration_reads_back() -> None:
    """The last digits of a range too."""
    assert parse_calibration(format_calibration(FOUND)) == FOUND


def test_it_belongs_to_one_model() -> None:
    """Ranges of a network with other shapes mean nothing here."""
    FOUND.check(TABLE)
    other = parse_table("data: float32 2x9\nnn.relu#0(data) -> float32 2x9\nreturn nn.relu#0", model="network")
    with pytest.raises(CalibrationError, match="another model"):
        FOUND.check(other)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "of version 2, and this corecast reads version 1"),
        ({"samples": 0}, "`samples`: Input should be greater than or equal to 1"),
        (
            {"ranges": {"data": {"low": 2.0, "high": 1.0}}},
            "`ranges.data`: the lowest value, 2, is above the highest, 1",
        ),
        ({"ranges": {"data": {"low": "NaN", "high": 1.0}}}, "`ranges.data.low`: Input should be a finite number"),
        ({"ranges": {"data": {"low": 0.0, "high": "Infinity"}}}, "`ranges.data.high`: Input should be a finite number"),
        ({"more": 1}, "`more`: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_file_is_refused_with_its_entry(change: dict[str, object], told: str) -> None:
    """And never read as something else."""
    text = json.dumps({**json.loads(format_calibration(FOUND)), **change})
    with pytest.raises(CalibrationError) as raised:
        parse_calibration(text, "calibration.json")
    assert told in str(raised.value)
    assert "calibration.json" in str(raised.value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(CalibrationError, match="this is not a calibration"):
        parse_calibration("ranges: {}")
