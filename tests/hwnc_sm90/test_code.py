"""The code of one kernel of each kind: what is in it, and where nvcc is installed, what it needs of the machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import tvm
from tvm import relax
from tvm.ir import IRModule

from corecast.backends import tvm_target, workloads
from corecast.backends.pipeline import fused, grouped, legalized
from corecast.backends.schedules import emitted, family_for, find_family, placed
from corecast.backends.schedules.hwnc_sm90.kernel import arguments, kernel
from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue
from corecast.backends.schedules.hwnc_sm90.space import HOPPER, most_stages, objection
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs, Tiling
from corecast.model import find_target

LAYER = {"batch": 32, "height": 14, "width": 14, "channels": 64, "out_channels": 128, "kernel": (2, 2)}
ALL = Epilogue(scale=True, bias=True, residual=True, residual_scale=0.5, activation="relu", rescale=0.25)
KINDS = {
    "half, all of the epilogue, gelu": (
        Conv(**LAYER, epilogue=Epilogue(scale=True, bias=True, residual=True, activation="gelu")),
        Knobs((32, 2, 2), 128, warpgroups=2, stages=2),
    ),
    "bfloat, tile by tile": (
        Conv(**LAYER, dtype="bfloat16", out_dtype="bfloat16", epilogue=Epilogue(residual=True, activation="clip")),
        Knobs((32, 2, 2), 128, warpgroups=2, stages=2, persistent=True),
    ),
    "int8, in turns": (
        Conv(**LAYER, dtype="int8", out_dtype="int8", epilogue=ALL),
        Knobs((32, 2, 1), 128, teams=2, stages=2, persistent=True),
    ),
    "int8 to half, 256 columns": (
        Conv(**LAYER, dtype="int8", epilogue=Epilogue(shift=True, gain=0.5)),
        Knobs((32, 2, 1), 256, stages=2),
    ),
    "int8 to int32, split": (
        Conv(**LAYER, dtype="int8", out_dtype="int32"),
        Knobs((32, 2, 1), 64, stages=2, split=4),
    ),
    "half to float, split, residual": (
        Conv(**LAYER, out_dtype="float32", epilogue=Epilogue(residual=True)),
        Knobs((32, 2, 2), 64, warpgroups=2, stages=2, split=2),
    ),
    "float8, resident, in turns": (
        Conv(**{**LAYER, "out_channels": 64}, dtype="float8_e4m3fn", out_dtype="float8_e4m3fn", epilogue=ALL),
        Knobs((32, 2, 1), 64, teams=2, stages=2, persistent=True, resident=True),
    ),
}
NVCC = shutil.which("nvcc")


@cache
def source(kind: str) -> str:
    """The CUDA text that TVM makes of a kernel; it needs neither nvcc nor a GPU."""
    conv, knobs = KINDS[kind]
    assert objection(conv, knobs) is None
    tiling = Tiling(conv.flattened(), most_stages(conv, knobs), HOPPER.multiprocessors)
    module = IRModule({"main": kernel(tiling, arguments(conv))})
    target = tvm.target.Target({"kind": "cuda", "arch": "sm_90a"})
    return str(tvm.compile(module, target=target, tir_pipeline="tirx").mod.imports[0].inspect_source())


@pytest.mark.parametrize("kind", KINDS)
def test_tensor_cores_and_copy_engine_do_the_work(kind: str) -> None:
    conv, knobs = KINDS[kind]
    text = source(kind)
    name = {"float16": "f16", "bfloat16": "bf16", "int8": "s8", "float8_e4m3fn": "e4m3"}[conv.dtype]
    assert re.search(rf"wgmma\.mma_async\.sync\.aligned\.m64n\d+k\d+\.\w+\.{name}\.{name}", text)
    assert "cp.async.bulk.tensor.4d.shared::cluster.global" in text
    assert "cp.async.bulk.tensor.4d.global.shared::cta" in text
    assert ("barrier.cluster" in text) == (knobs.split > 1)


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_it_compiles_for_hopper_and_keeps_its_sums_in_registers(kind: str, tmp_path: Path) -> None:
    """ptxas says C7510 and its like where wgmma would be serialized."""
    code = tmp_path / "kernel.cu"
    code.write_text(source(kind), encoding="utf-8")
    chip = "-gencode=arch=compute_90a,code=sm_90a"
    command = [str(NVCC), "-cubin", chip, "-Xptxas", "-v", "-o", str(tmp_path / "kernel.cubin"), str(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert not re.search(r"\(C75\d\d\)", said), said
    spilled = re.search(r"(\d+) bytes spill stores", said)
    assert spilled is not None
    assert int(spilled[1]) == 0, said


def device_code(module: tvm.runtime.Module) -> list[str]:
    """The CUDA text of a module and of all that it imports."""
    own = [module.inspect_source()] if module.kind == "cuda" else []
    return own + [text for each in module.imports for text in device_code(each)]


def test_a_model_is_built_with_it_for_a_chip_that_is_not_here() -> None:
    """Two layers with their bias, residual and relu are two calls of kernels that are compiled apart."""
    target = find_target("cuda:sm_90a")
    shape = [14, 14, 8, 64]
    x, bias = (
        relax.Var(name, relax.TensorType(sizes, "float16")) for name, sizes in (("x", shape), ("b", [1, 1, 1, 64]))
    )
    weights = [relax.Var(f"w{layer}", relax.TensorType([3, 3, 64, 64], "float16")) for layer in range(2)]
    builder = relax.BlockBuilder()
    with builder.function("main", [x, bias, *weights]):
        with builder.dataflow():
            value = x
            for layer, weight in enumerate(weights):
                sums = relax.op.nn.conv2d(value, weight, 1, 1, 1, 1, "HWNC", "HWOI", "HWNC", out_dtype="float16")
                value = builder.emit(relax.op.add(builder.emit(sums, f"n{layer}"), bias))
                value = builder.emit(relax.op.nn.relu(builder.emit(relax.op.add(value, x)) if layer else value))
            output = builder.emit_output(value)
        builder.emit_func_output(output)
    module = builder.get()
    legal, family = legalized(module, target), find_family("hwnc_sm90")
    found = workloads(module, legal)
    assert all(family_for(workload, target) is family for workload in found.values())
    code = {
        name: emitted(family, workload, target, family.first_guess(workload, target))
        for name, workload in found.items()
    }
    whole = placed(fused(grouped(legal)), code, tvm_target(target))
    assert whole["main"].script().count("call_dps_packed") == 2
    built = tvm.compile(whole, tvm_target(target))
    assert sum("wgmma.mma_async" in text for text in device_code(built.mod)) == 2
