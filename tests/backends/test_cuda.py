"""Tuning for CUDA as far as it goes without a device: what is searched, and that TVM compiles what is found."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import tvm
from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.tirx.script.parser import entry

from corecast.backends import Bench, Job, Trial, Workload, cuda, find_tuner, host, tvm_target, workloads
from corecast.backends.cuda import compiling, parsed_quickly
from corecast.backends.pipeline import legalized
from corecast.backends.said import reason
from corecast.backends.schedules.stored import Traced, as_text, carried_out, from_text
from corecast.backends.tuners import metaschedule
from corecast.model import Target, find_target, known_targets

HOPPER = find_target("cuda:sm_90a")
Searched = Callable[[str], tuple[Workload, list[Trial]]]
GPUS = [target for target in known_targets() if target.kind == "cuda"]


@derived_object
class Unbuilt(ms.builder.PyBuilder):
    """A builder that builds nothing, so that a search goes on where neither nvcc nor a device is."""

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        return [ms.builder.BuilderResult(None, "not here") for _ in build_inputs]


@pytest.fixture
def searched(cast_convolution: Callable[..., IRModule], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Searched:
    """The two candidates of a search without evolution, which would sample a population first."""

    def search(dtype: str) -> tuple[Workload, list[Trial]]:
        module = cast_convolution(dtype, (16, 16, 8, 8), (16, 16, 3, 3))
        kernels = workloads(module, legalized(module, HOPPER))
        (kernel,) = (each for name, each in kernels.items() if "conv2d" in name)
        monkeypatch.setattr(metaschedule, "_strategy", ms.search_strategy.ReplayTrace)
        with closing(Bench(HOPPER, builder=Unbuilt())) as bench:
            job = Job(workload=kernel, bench=bench, trials=2, known=(), seed=1, log=tmp_path / "log")
            find_tuner("metaschedule").search(job)
        return kernel, job.made

    return search


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_what_an_intrinsic_takes_is_searched_on_tensor_cores_and_compiles(searched: Searched, dtype: str):
    """From records too: a schedule is read back from its text."""
    kernel, trials = searched(dtype)
    assert len(trials) == 2
    for trial in trials:
        assert isinstance(trial.schedule, Traced)
        code = carried_out(from_text(as_text(trial.schedule)), kernel).mod
        with compiling(tvm_target(HOPPER)):
            built = tvm.tirx.build(code, target=tvm_target(HOPPER))
        assert "nvcuda::wmma::mma_sync" in built.imports[0].inspect_source()


def test_tvm_by_itself_compiles_no_sums_in_another_dtype(searched: Searched):
    """It puts them where the operands were, and then misses the operands' dtype."""
    kernel, (trial, _) = searched("float16")
    code = carried_out(trial.schedule, kernel).mod
    with pytest.raises(Exception, match="element type must match the source buffer"):
        tvm.tirx.build(code, target=tvm_target(HOPPER))


def test_what_none_takes_is_searched_by_the_rules_for_other_cores(searched: Searched):
    """Also on a chip with tensor cores."""
    _, trials = searched("float32")
    assert len(trials) == 2
    assert not any("Tensorize" in as_text(trial.schedule) for trial in trials)


def test_a_stack_without_source_code_is_asked_for_only_meanwhile():
    """The frames are those that Python's own function gives, less the lines around them."""
    with parsed_quickly():
        quick = entry.inspect.stack()
        assert entry.inspect.isfunction is inspect.isfunction
    whole = inspect.stack()
    assert entry.inspect is inspect
    assert [(frame.filename, frame.function) for frame in quick] == [
        (frame.filename, frame.function) for frame in whole
    ]
    assert not any(frame.code_context for frame in quick)
    with pytest.raises(ZeroDivisionError), parsed_quickly():
        _ = 1 / 0
    assert entry.inspect is inspect


@pytest.mark.parametrize(
    ("target", "found", "asked", "mode"),
    [
        ("cuda:sm_90a", "/bin/nvcc", None, "nvcc"),
        ("cuda:sm_90a", "/bin/nvcc", "nvrtc", "nvrtc"),
        ("cuda:sm_90a", None, None, None),
        ("llvm", "/bin/nvcc", None, None),
    ],
)
def test_nvcc_compiles_where_it_is_and_nobody_asks_for_another(
    monkeypatch: pytest.MonkeyPatch, target: str, found: str | None, asked: str | None, mode: str | None
):
    """TVM takes NVRTC by itself, which needs a package more than nvcc does."""
    monkeypatch.delenv(cuda.MODE, raising=False)
    if asked is not None:
        monkeypatch.setenv(cuda.MODE, asked)
    monkeypatch.setattr(cuda.shutil, "which", lambda _: found)
    with compiling(tvm_target(find_target(target))):
        assert os.environ.get(cuda.MODE) == mode
    assert os.environ.get(cuda.MODE) == asked


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "NVRTC compilation failed:\ncu(3): error: identifier `half` is undefined\n\n1 error detected\n \0",
            "cu(3): error: identifier `half` is undefined",
        ),
        (
            "float error = 1;\n\nCompilation error:\ncu(1): warning: unused\nkernel.cu(9): error: no such\n1 error",
            "kernel.cu(9): error: no such",
        ),
        ("Traceback\nInternalError: Check failed\n", "InternalError: Check failed"),
        ("NVRTC compilation failed:\n\0", "NVRTC compilation failed:"),
        (" \0\n", "no message"),
        (ValueError(), "ValueError, without a message"),
    ],
)
def test_the_reason_is_never_empty_and_a_compilers_first_error(said: BaseException | str, line: str):
    """NVRTC ends what it says with a zero byte, and nvcc's errors stand behind all of the code."""
    assert reason(said) == line


@pytest.mark.parametrize("target", GPUS, ids=lambda target: target.name)
def test_a_gpu_has_the_limits_that_tvm_has_for_its_like(target: Target):
    """MetaSchedule asks for them, and a target made of an architecture alone has none."""
    chip = tvm_target(target)
    for tag in ("nvidia/nvidia-v100", "nvidia/nvidia-a100", "nvidia/nvidia-h100", "nvidia/geforce-rtx-5060-ti"):
        theirs = tvm.target.Target(tag).attrs
        for name in host.CUDA_LIMITS:
            assert chip.attrs[name] == theirs[name], (tag, name)
