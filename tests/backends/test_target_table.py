"""The table of targets beside TVM itself: what its design spaces reach, and which instructions its LLVM emits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import tvm
from tvm import relax, te
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from corecast.backends import tvm_target
from corecast.backends.calls import kernels
from corecast.backends.cuda import tensor_intrinsics
from corecast.backends.schedules import families
from corecast.model import Target, find_target, known_targets
from corecast.report.targets import put_into

CPUS = [target for target in known_targets() if target.kind == "llvm" and target.arch]
GPUS = [target for target in known_targets() if target.kind == "cuda"]
SIZE = 64


def product(data: str, weights: str, sums: str) -> IRModule:
    """A product of two matrices, which every tensor unit takes if it takes anything."""
    a, b = te.placeholder((SIZE, SIZE), data), te.placeholder((SIZE, SIZE), weights)
    k = te.reduce_axis((0, SIZE))
    c = te.compute((SIZE, SIZE), lambda i, j: te.sum(a[i, k].astype(sums) * b[k, j].astype(sums), k), "product")
    return IRModule({"main": te.create_prim_func([a, b, c])})


def convolution(data: str, weights: str, sums: str) -> IRModule:
    """A convolution in NHWC and HWIO."""
    a, b = te.placeholder((1, 16, 16, SIZE), data), te.placeholder((3, 3, SIZE, SIZE), weights)
    y, x, k = (te.reduce_axis((0, size)) for size in (3, 3, SIZE))
    c = te.compute(
        (1, 14, 14, SIZE),
        lambda n, h, w, o: te.sum(a[n, h + y, w + x, k].astype(sums) * b[y, x, k, o].astype(sums), [y, x, k]),
        "convolution",
    )
    return IRModule({"main": te.create_prim_func([a, b, c])})


def grouped_convolution(dtype: str, sums: str, layout: str, kernel: str) -> IRModule:
    """A convolution with four groups, as TVM itself writes it."""
    sizes = {"N": 1, "C": SIZE, "H": 16, "W": 16}, {"O": SIZE, "I": SIZE // 4, "H": 3, "W": 3}
    types = [
        relax.TensorType([size[axis] for axis in axes], dtype)
        for size, axes in zip(sizes, (layout, kernel), strict=True)
    ]
    data, weight = (relax.Var(name, type) for name, type in zip("xw", types, strict=True))
    options = {"groups": 4, "data_layout": layout, "kernel_layout": kernel, "out_dtype": sums}
    builder = relax.BlockBuilder()
    with builder.function("main", [data, weight]):
        builder.emit_func_output(builder.emit(relax.op.nn.conv2d(data, weight, **options)))
    [code] = kernels(relax.transform.LegalizeOps()(builder.get())).values()
    return IRModule({"main": code.with_attr("global_symbol", "main")})


def intrinsics(module: IRModule, chip: tvm.target.Target) -> set[str]:
    """The tensor intrinsics that any sketch of MetaSchedule's design space is marked with."""
    context = ms.TuneContext(mod=module, target=chip, space_generator="post-order-apply", num_threads=1)
    scripts = [sketch.mod.script() for sketch in context.generate_design_space()]
    return {name for script in scripts for name in re.findall(r'"meta_schedule.auto_tensorize": "([^"]*)"', script)}


def claimed(target: Target, data: str, weights: str, sums: str) -> set[str]:
    """The intrinsics that the table says MetaSchedule reaches for these dtypes."""
    return {
        tuned.intrinsic
        for tuned in target.dtypes[data].tuned
        if tuned.intrinsic and tuned.tuner == "metaschedule"
        if (tuned.weights or data) == weights and sums in tuned.accumulators
    }


@pytest.mark.parametrize("target", known_targets(), ids=lambda target: target.name)
def test_every_row_says_where_it_is_known_from_and_why_it_is_declined(target: Target):
    """A row has a source; what is declined has a reason; what computes has accumulators."""
    assert {"float32", "float16", "int8", "int4"} <= target.dtypes.keys()
    for dtype, support in target.dtypes.items():
        assert support.source, dtype
        assert support.level == "native" or support.note, dtype
        assert support.level == "absent" or support.accumulators, dtype
        assert support.tuned or support.untuned or support.note, dtype
        assert not support.tuned or support.level != "absent", dtype


def test_every_tuner_of_the_table_is_there_and_every_family_is_in_it():
    """A family that is added has its row, and one that is gone has none."""
    named = {tuned.tuner for target in known_targets() for each in target.dtypes.values() for tuned in each.tuned}
    assert named == {family.name for family in families()} | {"metaschedule"}


@pytest.mark.parametrize("target", CPUS, ids=lambda target: target.name)
def test_what_a_cpu_must_report_is_what_llvm_takes_for_granted_on_it(target: Target):
    """A feature that is misspelled would never be reported, and the CPU never be found."""
    known = tvm.get_global_func("target.llvm_get_cpu_features")(tvm_target(target))
    assert set(target.features) <= set(map(str, known))


@pytest.mark.parametrize("target", CPUS, ids=lambda target: target.name)
@pytest.mark.parametrize("make", [product, convolution])
@pytest.mark.parametrize(("data", "weights"), [("int8", "int8"), ("uint8", "int8"), ("uint8", "uint8")])
def test_the_tuner_reaches_the_dot_products_of_the_table_and_no_others(
    target: Target, make: Callable[[str, str, str], IRModule], data: str, weights: str
):
    """AVX-512 and VNNI multiply u8 by s8 alone, Arm's dot products like by like; tiles (AMX, SMMLA) are not reached."""
    tensor_intrinsics()
    assert intrinsics(make(data, weights, "int32"), tvm_target(target)) == claimed(target, data, weights, "int32")


@pytest.mark.slow  # TVM imports every intrinsic for CUDA: 17 seconds
@pytest.mark.parametrize("target", GPUS, ids=lambda target: target.name)
def test_the_tuner_reaches_the_tensor_cores_of_the_table_and_no_others(target: Target):
    """The intrinsics of TVM end in what they sum in, and have a twin for a transposed operand."""
    tensor_intrinsics()
    chip = tvm_target(target)
    for dtype, support in target.dtypes.items():
        for sums in support.accumulators:
            found = {name for name in intrinsics(product(dtype, dtype, sums), chip) if "_sync_" in name}
            wanted = claimed(target, dtype, dtype, sums)
            assert {bool(found)} == {bool(wanted)}, (dtype, sums, found)
            assert all(any(name.startswith(start) for start in wanted) for name in found), (dtype, sums, found)


@pytest.mark.slow
@pytest.mark.parametrize("layouts", [("NCHW", "OIHW"), ("NHWC", "HWIO")], ids=lambda layouts: layouts[0])
@pytest.mark.parametrize(("dtype", "sums"), [("float16", "float32"), ("int8", "int32")])
def test_no_tensor_core_is_reached_by_a_grouped_convolution(dtype: str, sums: str, layouts: tuple[str, str]):
    """Though its groups could be a batch of products, TVM writes one sum over a part of the channels."""
    tensor_intrinsics()
    chip = tvm_target(find_target("cuda:sm_90a"))
    assert intrinsics(grouped_convolution(dtype, sums, *layouts), chip) == set()
    assert not any(tuned.grouped for tuned in find_target("cuda:sm_90a").dtypes[dtype].tuned)


@pytest.mark.parametrize("target", CPUS, ids=lambda target: target.name)
def test_llvm_emits_what_the_table_says_for_loops(target: Target):
    """A product over vectors is compiled for the chip, which need not be this one, and its code is read."""
    for dtype, support in target.dtypes.items():
        for tuned in support.tuned:
            if tuned.intrinsic or tuned.tuner != "metaschedule":
                continue
            sums = tuned.accumulators[0]
            code = assembly(product(dtype, dtype, sums), tvm_target(target))
            for word in tuned.emits.removeprefix("shifts, ").split(", "):
                assert re.search(rf"^\s+{word}", code, re.MULTILINE), (dtype, word)


def assembly(module: IRModule, chip: tvm.target.Target) -> str:
    schedule = Schedule(module)
    row, column, depth = schedule.get_loops(schedule.get_sblock("product"))
    outer, lanes = schedule.split(column, [None, 16])
    schedule.reorder(row, outer, depth, lanes)
    schedule.vectorize(lanes)
    return str(tvm.compile(schedule.mod, target=chip).mod.inspect_source("asm"))


def test_the_page_of_targets_is_made_from_the_table():
    """`python -m corecast.report.targets docs/targets.md` brings it up to date."""
    page = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    assert page == put_into(page)
