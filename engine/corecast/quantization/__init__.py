"""Low precision that keeps the answers: what calibration found, and the scales that follow from it."""

from corecast.quantization.calibration import (
    CalibratedModel,
    Calibration,
    CalibrationError,
    Range,
    format_calibration,
    parse_calibration,
    read_calibration,
)

__all__ = [
    "CalibratedModel",
    "Calibration",
    "CalibrationError",
    "Range",
    "format_calibration",
    "parse_calibration",
    "read_calibration",
]
