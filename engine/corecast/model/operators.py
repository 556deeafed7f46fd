"""What the operators of a layer table mean: which axes their tensors have, and what a recipe may change about them.

Plain data, free of any IR: every adapter maps its own operators to these names, so that recipes read the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """One operator that has a weight: the axes of its data and of its kernel, in the layout that it has by default.

    Letters are those of TVM's layout strings: N batch, C channels, D H W space, O and I output and input channels.
    """

    name: str
    data: str
    kernel: str
    data_attribute: str | None = "data_layout"
    kernel_attribute: str | None = "kernel_layout"

    @property
    def has_layout(self) -> bool:
        """Whether the operator carries its layouts as attributes, so that a recipe can change them."""
        return self.data_attribute is not None

    def misorders(self, layout: str) -> bool:
        """Whether a layout of the data or of the kernel has the axes of space in another order than D, H, W.

        TVM's convolutions take strides, padding and dilation for the axes of space in the order in which they stand,
        and its types take them for D, H, W: in `NCWH`, or with the kernel `OIWH`, it computes something else, or other
        shapes than it says.
        """
        return _space(layout) != _space(self.data)


def _space(layout: str) -> str:
    return "".join(axis for axis in layout if axis in "DHW")


WEIGHTED = {
    operator.name: operator
    for operator in (
        Operator("nn.conv1d", "NCW", "OIW"),
        Operator("nn.conv2d", "NCHW", "OIHW"),
        Operator("nn.conv3d", "NCDHW", "OIDHW"),
        Operator("nn.conv1d_transpose", "NCW", "IOW"),
        Operator("nn.conv2d_transpose", "NCHW", "IOHW"),
        Operator("nn.conv3d_transpose", "NCDHW", "IODHW"),
        # A matmul whose second operand is a parameter; the batch axes before the last one are all `N`.
        Operator("nn.dense", "NC", "IO", data_attribute=None, kernel_attribute=None),
    )
}

CONVOLUTIONS = frozenset(name for name, operator in WEIGHTED.items() if operator.has_layout)

# The kernel layout that belongs to a data layout where a recipe names none: what TOPI and the tensor-core libraries
# take, and for HWNC what the original ConvertLayout chose ("HWOI, always").
DEFAULT_KERNELS = {
    "nn.conv1d": {"NCW": "OIW", "NWC": "OWI"},
    "nn.conv2d": {"NCHW": "OIHW", "NHWC": "OHWI", "HWNC": "HWOI"},
    "nn.conv3d": {"NCDHW": "OIDHW", "NDHWC": "ODHWI"},
    "nn.conv1d_transpose": {"NCW": "IOW"},
    "nn.conv2d_transpose": {"NCHW": "IOHW", "NHWC": "IHWO"},
    "nn.conv3d_transpose": {"NCDHW": "IODHW"},
}

# What only moves elements: every value of the result is one of an operand's.
MOVES = frozenset(
    """
    broadcast_to concat depth_to_space expand_dims gather_elements gather_nd permute_dims reshape space_to_depth split
    squeeze strided_slice take tile where
    """.split()
)

# What says the same of a tensor whichever float it is in.
SAYS_ALIKE = frozenset({"isnan", "shape_of", "size"})
