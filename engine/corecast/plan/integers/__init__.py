"""What a plan computes on integers: from the quantized layers to regions of them, and the scales that these share."""

from corecast.plan.integers.found import Form, Integers, Role, Slot
from corecast.plan.integers.layers import AVERAGES, SHARING, averaged, channel_axis, space_of, value_of
from corecast.plan.integers.search import integers

__all__ = [
    "AVERAGES",
    "SHARING",
    "Form",
    "Integers",
    "Role",
    "Slot",
    "averaged",
    "channel_axis",
    "integers",
    "space_of",
    "value_of",
]
