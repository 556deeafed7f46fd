"""What a plan computes on integers: from the quantized layers to regions of them, and the scales that these share."""

from corecast.plan.integers.found import Form, Integers, Role, Slot
from corecast.plan.integers.layers import SHARING, averaged, channel_axis, value_of
from corecast.plan.integers.search import integers

__all__ = ["SHARING", "Form", "Integers", "Role", "Slot", "averaged", "channel_axis", "integers", "value_of"]
