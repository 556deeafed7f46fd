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
from corecast.quantization.scales import (
    LIMITS,
    Quantization,
    Scale,
    bias_steps,
    not_calibrated,
    quantized,
    scale_of,
    weight_scales,
)

__all__ = [
    "LIMITS",
    "CalibratedModel",
    "Calibration",
    "CalibrationError",
    "Quantization",
    "Range",
    "Scale",
    "bias_steps",
    "format_calibration",
    "not_calibrated",
    "parse_calibration",
    "quantized",
    "read_calibration",
    "scale_of",
    "weight_scales",
]
