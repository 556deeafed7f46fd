"""Every file that Corecast reads, damaged at random: it is read all the same, or refused as a fault of the file.

`CORECAST_MUTATIONS=20000 pytest tests/api/test_mutated_files.py` looks further than the few of every run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import relax
from tvm.ir import IRModule

from corecast.adapters.relax import load, prepare, read_bundle, survey
from corecast.api import CorecastError, apply, plan, read_plan, read_recipe, write_bundle
from corecast.api.cli import main
from corecast.api.reading import saved_table

MUTATIONS = int(os.environ.get("CORECAST_MUTATIONS", "0"))

RULES = """
recipe fuzzed "1.0"
requires tvm >= 0.20
let stem = nn.conv2d #k where in_channels < 16 and k not in {0, 3..5, -1}
skip stem except nn.relu
rule first
  match c: nn.conv2d -> r: nn.relu where name ~ /layer[34]\\..*/ or inside stem
  set layout HWNC kernel HWOI on c unless skipped
  cast int4 else float16 -> float32 else keep even if skipped
  tune tensorcore trials 8
  expect >= 1
match nn.dense #-1, keep dtype
"""

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[1,3,8,8] image) => (float[1,4] y)
<float[4] bias = {1, 2, 3, 4}>
{
    shape = Constant<value = int64[4] {4,3,3,3}>()
    w = ConstantOfShape(shape)
    [stem] a = Conv<pads = [1,1,1,1]>(image, w, bias)
    [active] b = Relu(a)
    [pool] c = MaxPool<kernel_shape = [2,2], strides = [2,2]>(b)
    axes = Constant<value = int64[2] {2,3}>()
    [mean] y = ReduceSum<keepdims = 0>(c, axes)
}
"""

PACK = """
name: pack
version: "1.0"
description: One rule.
licence: Apache-2.0
requires:
  corecast: ">=0.1"
"""


def with_a_constant() -> IRModule:
    x = relax.Var("x", relax.TensorType((1, 3, 4, 4), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            weight = relax.const(np.ones((2, 3, 1, 1), "float32"))
            y = builder.emit_output(relax.op.nn.conv2d(x, weight), "y")
        builder.emit_func_output(y)
    return builder.get()


# What a reader may not expect: other types, sizes without end, names that are none, brackets that do not close.
TOKENS = [
    *(b"-1", b"0", b"99999999999999999999", b"1e999", b"null", b"true", b"[]", b"{}", b'""', b"nan", b"1.5"),
    *(b"[" * 3000, b"{" * 3000, b"(" * 3000, b'{"a":' * 2000, b"- " * 2000, b"&a [*a]", b"<<: ", b"!!python/name:os "),
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"  ", b"#", b"#0..9", b": ", b"..", b"\\", b"'", b'"'),
    *(b"\x08", b"\x12\x05", b"\x7f", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"float32", b"HWNC", b"nn.conv2d"),
]

Edit = tuple[str, float, int, bytes]

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["put", "insert", "delete", "repeat", "move", "cut"]),
        st.floats(0, 1),
        st.integers(1, 64),
        st.sampled_from(TOKENS) | st.binary(max_size=6),
    ),
    min_size=1,
    max_size=5,
)


def mutated(content: bytes, edits: list[Edit]) -> bytes:
    for kind, place, length, token in edits:
        at = int(place * len(content))
        before, piece, after = content[:at], content[at : at + length], content[at + length :]
        content = {
            "put": before + token + content[at + len(token) :],
            "insert": before + token + piece + after,
            "delete": before + after,
            "repeat": before + piece + piece + after,
            "move": piece + before + after,
            "cut": before if length == 1 else before + token + after,
        }[kind]
    return content


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    onnx.save(onnx.parser.parse_model(NETWORK), str(folder / "network.onnx"))
    (folder / "case.rules").write_text(RULES, encoding="utf-8")
    (folder / "simple.rules").write_text("match nn.conv2d, set layout HWNC, tune tensorcore\n", encoding="utf-8")
    (folder / "pack").mkdir()
    (folder / "pack" / "pack.yaml").write_text(PACK, encoding="utf-8")
    (folder / "pack" / "pack.rules").write_text("recipe pack\nmatch nn.conv2d, keep\n", encoding="utf-8")
    (folder / "user.rules").write_text("use pack\nmatch nn.dense, keep\n", encoding="utf-8")
    assert main(["lock", str(folder / "user.rules"), "--packs", str(folder)]) == 0
    (folder / "module.json").write_text(tvm.ir.save_json(with_a_constant()), encoding="utf-8")
    model = prepare(load(folder / "network.onnx"))
    table = survey(model)
    (folder / "layers.json").write_text(table.model_dump_json(indent=1), encoding="utf-8")
    decided = plan(read_recipe(folder / "simple.rules", table), table)
    write_bundle(apply(decided, model), folder / "bundle")
    return folder


def read_table(path: Path) -> object:
    table = saved_table(path)
    return table and plan(read_recipe(path.parent / "simple.rules", table), table)


def read_model(path: Path) -> object:
    return survey(prepare(load(path)))


READERS: dict[str, Callable[[Path], object]] = {
    "case.rules": read_recipe,
    "pack/pack.yaml": lambda path: read_recipe(path.parent),
    "user.lock": lambda path: read_recipe(path.with_suffix(".rules"), packs=[path.parent]),
    "layers.json": read_table,
    "network.onnx": read_model,
    "module.json": read_model,
    "bundle/plan.yaml": read_plan,
    "bundle/report.json": lambda path: read_bundle(path.parent),
    "bundle/module.json": lambda path: read_bundle(path.parent),
    "bundle/weights.safetensors": lambda path: read_bundle(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused(name: str, files: Path) -> None:
    """Whoever reads it knows that it is the file that is wrong, and not Corecast."""
    path = files / name
    whole = path.read_bytes()
    READERS[name](path)

    @settings(
        max_examples=MUTATIONS or 40,
        derandomize=not MUTATIONS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(edits=EDITS)
    def reads_or_refuses(edits: list[Edit]) -> None:
        path.write_bytes(mutated(whole, edits))
        with contextlib.suppress(CorecastError):
            READERS[name](path)

    try:
        reads_or_refuses()
    finally:
        path.write_bytes(whole)
