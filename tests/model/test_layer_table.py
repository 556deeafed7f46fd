"""Layer tables: numbering, measuring, printing and reading back."""

from __future__ import annotations

import pytest

from corecast.model import LayerTable, TableError, TensorType, count, dtype_bits, format_table, parse_table

RESIDUAL = """\
data: float32 8x3x32x32
nn.conv2d#0(data, %stem: float32 16x3x3x3) padding=[1, 1, 1, 1] -> float32 8x16x32x32 @conv_stem follows
nn.conv2d#1(nn.conv2d#0, %a: float32 16x16x3x3) padding=[1, 1, 1, 1] -> float32 8x16x32x32 follows
nn.conv2d#2(nn.conv2d#1, %b: float32 16x16x3x3) padding=[1, 1, 1, 1] -> float32 8x16x32x32 follows
nn.conv2d#3(nn.conv2d#0, %short: float32 16x16x1x1) -> float32 8x16x32x32 follows
add#0({first}, {second}) -> float32 8x16x32x32 follows
return add#0
"""


def residual(first: str, second: str) -> LayerTable:
    return parse_table(RESIDUAL.format(first=first, second=second))


def test_a_table_reads_back_from_its_text_and_from_its_json() -> None:
    """What a table prints is enough to make the same table again."""
    table = residual("nn.conv2d#2", "nn.conv2d#3")
    assert parse_table(format_table(table)) == table
    assert LayerTable.model_validate_json(table.model_dump_json()) == table


def test_depth_does_not_depend_on_the_order_of_arguments() -> None:
    """The origin's depth did: `add(deep, short)` counted 3 and `add(short, deep)` 2."""
    for table in (residual("nn.conv2d#2", "nn.conv2d#3"), residual("nn.conv2d#3", "nn.conv2d#2")):
        assert [layer.depth for layer in table.by_op["nn.conv2d"]] == [2, 1, 0, 0]
        assert count(table, ["nn.conv2d"]).chain == 3
        assert count(table, ["nn.conv2d"]).calls == 4


def test_several_operators_count_as_one_chain() -> None:
    """A path's convolutions and sums add up."""
    assert count(residual("nn.conv2d#2", "nn.conv2d#3"), ["nn.conv2d", "add"]).chain == 4


def test_a_layer_is_found_by_its_id_its_weight_and_its_node() -> None:
    """All three names that a person may know."""
    table = residual("nn.conv2d#2", "nn.conv2d#3")
    assert [table.find(text) is table.layers[0] for text in ("nn.conv2d#0", "stem", "conv_stem")] == [True] * 3
    assert table.find("nothing") is None


def test_costs_of_a_convolution() -> None:
    """Two operations for each multiply-add; each byte once."""
    stem = residual("nn.conv2d#2", "nn.conv2d#3").layers[0]
    assert stem.flops == 2 * 8 * 16 * 32 * 32 * 3 * 3 * 3
    assert stem.bytes == 4 * (8 * 3 * 32 * 32 + 16 * 3 * 3 * 3 + 8 * 16 * 32 * 32)


@pytest.mark.parametrize(
    ("layout", "kernel", "data", "weight"),
    [
        ("NCHW", "OIHW", "8x4x6x5", "12x2x3x1"),
        ("NHWC", "HWIO", "8x6x5x4", "3x1x2x12"),
        ("HWNC", "HWOI", "6x5x8x4", "3x1x12x2"),
    ],
)
def test_sizes_are_read_whatever_the_layout(layout: str, kernel: str, data: str, weight: str) -> None:
    """Channels, batch and kernel sizes are those of the axes' letters."""
    table = parse_table(
        f"data: float32 {data}\n"
        f'nn.conv2d#0(data, %w: float32 {weight}) groups=2 data_layout="{layout}" kernel_layout="{kernel}"'
        " -> float32 1x1x1x1\nreturn nn.conv2d#0\n"
    )
    sizes = {axis: table.layers[0].size(axis) for axis in ("N", "C", "H", "W", "O", "I", "KH", "KW")}
    assert sizes == {"N": 8, "C": 4, "H": 6, "W": 5, "O": 12, "I": 2, "KH": 3, "KW": 1}


def test_the_fingerprint_sees_names_and_shapes_and_ignores_the_file_name() -> None:
    """Two loads of one model are one model; another weight name or shape is another."""
    text = format_table(residual("nn.conv2d#2", "nn.conv2d#3"))
    same = parse_table(text, model="elsewhere")
    renamed = parse_table(text.replace("%stem:", "%trunk:"))
    assert parse_table(text).fingerprint == same.fingerprint != renamed.fingerprint


def test_the_structural_hash_ignores_names_and_sees_neighbours() -> None:
    """A layer behind another operator is another layer, however it is called."""
    text = format_table(residual("nn.conv2d#2", "nn.conv2d#3"))
    hashes = [layer.hash for layer in parse_table(text).layers]
    assert [layer.hash for layer in parse_table(text.replace("%stem:", "%trunk:")).layers] == hashes
    other = parse_table(text.replace("add#0", "multiply#0"))
    assert [layer.hash == hash for layer, hash in zip(other.layers, hashes, strict=True)] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nn.conv2d#0(data", "cannot read"),
        ("nn.conv2d#1(data) -> float32 1", "nn.conv2d#1 should be nn.conv2d#0"),
        ("nn.conv2d#0(date) -> float32 1", "nothing above is called `date`"),
        ("nn.conv2d#0(nn.conv2d#0) -> float32 1", "nothing above is called `nn.conv2d#0`"),
        ("nn.conv2d#0(data, %w: float32) -> float32 1", "`float32` is no tensor type"),
        ("nn.conv2d#0(data) -> float32 1xx2", "`float32 1xx2` is no tensor type"),
        ("nn.conv2d#0(data) groups = 1 -> float32 1", "`groups = 1` is no attribute"),
        ("nn.conv2d#0(data) groups=one -> float32 1", "`one` is no value"),
        ("nn.conv2d#0(data) padding=[1,] -> float32 1", "`[1,]` is no value"),
        ("image: float32", "`float32` is no tensor type"),
        ("return nn.conv2d#0", "nothing above is called `nn.conv2d#0`"),
        ("???", "cannot read"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, told: str) -> None:
    """The reader of a broken table learns the line, and what is wrong with it."""
    with pytest.raises(TableError) as caught:
        parse_table(f"data: float32 1\n\n{text}\n")
    assert str(caught.value).startswith(f"line 3: {told}")


def test_bits_of_dtypes() -> None:
    """Sub-byte dtypes are packed when bytes are counted."""
    assert [dtype_bits(name) for name in ("int4", "bool", "bfloat16", "float8_e4m3fn", "float64")] == [4, 8, 16, 8, 64]
    assert TensorType(dtype="int4", shape=(3,)).bytes == 2
    with pytest.raises(ValueError, match="quux"):
        dtype_bits("quux")
