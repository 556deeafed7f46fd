"""What the original's arguments mean on a layer table, without any TVM."""

import pytest

from corecast.adapters.origin import LayoutConfig, UtilityError, layout_edits, recast_edits, with_named_kernels
from corecast.model import LayerTable, parse_table

KNOWN = {name: name for name in ("nn.conv2d", "nn.relu", "nn.dense")} | {"concatenate": "concat"}

TABLE = """
data: float32 1x1x8x8
nn.conv2d#0(data, %lone: float32 1x1x3x3) -> float32 1x1x6x6
nn.conv2d#1(nn.conv2d#0, %wide: float32 4x1x3x3) -> float32 1x4x4x4
nn.conv2d#2(nn.conv2d#1, %deep: float32 4x1x3x3) groups=4 -> float32 1x4x2x2
return nn.conv2d#2
"""


def table() -> LayerTable:
    return parse_table(TABLE)


def kernels(layout: str) -> list[str]:
    edits = layout_edits(table(), {"nn.conv2d": [layout, "default"]}, KNOWN)
    assert {edit.kernel for edit in edits.values()} == {"default"}
    return [edit.kernel for edit in with_named_kernels(table(), edits).values()]


def test_a_default_kernel_is_the_one_that_relay_chooses():
    """To Relay one channel in and one out, in one group, is depthwise."""
    assert kernels("NHWC") == ["HWOI", "HWIO", "HWOI"]
    assert kernels("HWNC") == ["HWOI", "HWOI", "HWOI"]


def test_skipped_layers_have_no_edit():
    with LayoutConfig([0, -1]):
        assert list(layout_edits(table(), {"nn.conv2d": ["NHWC", "default"]}, KNOWN)) == ["nn.conv2d#1"]
    assert list(recast_edits(table(), "int8", "", ["nn.conv2d"], [0, -1], KNOWN)) == ["nn.conv2d#1"]


def test_operators_come_under_the_names_of_their_ir():
    with pytest.raises(UtilityError, match="the module has no concat"):
        recast_edits(table(), "int8", "", ["concatenate"], [], KNOWN)
    with pytest.raises(UtilityError, match="has no operator concat"):
        recast_edits(table(), "int8", "", ["concat"], [], KNOWN)
