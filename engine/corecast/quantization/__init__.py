"""Low precision that keeps the answers: what calibration found, and the scales that follow from it."""

from corecast.quantization.calibrate import ObservationError, observe
from corecast.quantization.calibration import (
    CalibratedModel,
    Calibration,
    CalibrationError,
    Range,
    format_calibration,
    parse_calibration,
    read_calibration,
)
from corecast.quantization.data import Data, Source
from corecast.quantization.files import DataError
from corecast.quantization.methods import METHODS, Method, MethodError
from corecast.quantization.scales import (
    LIMITS,
    Quantization,
    Scale,
    bias_steps,
    channel_sums,
    not_calibrated,
    quantized,
    scale_of,
    summary,
    weight_scales,
)

__all__ = [
    "LIMITS",
    "METHODS",
    "CalibratedModel",
    "Calibration",
    "CalibrationError",
    "Data",
    "DataError",
    "Method",
    "MethodError",
    "ObservationError",
    "Quantization",
    "Range",
    "Scale",
    "Source",
    "bias_steps",
    "channel_sums",
    "format_calibration",
    "not_calibrated",
    "observe",
    "parse_calibration",
    "quantized",
    "read_calibration",
    "scale_of",
    "summary",
    "weight_scales",
]
