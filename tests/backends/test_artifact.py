"""A built library: that TVM's runtime alone runs it, and what a build refuses before anything stands on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm.ir import IRModule
from tvm.support import cc

from corecast.backends import BuildError, Runner, artifact, build, uncompilable, unrunnable
from corecast.backends.artifact import assemble, check_output, write_artifact
from corecast.model import Target, find_target

RUNTIME = Path(tvm.__file__).parent / "lib" / "libtvm_runtime.so"

# A process that has the package of TVM's calling convention and one library of TVM's, and refuses to import any more.
ALONE = """
import ctypes, sys
import numpy as np

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tvm", "corecast"):
            raise ImportError(f"{name} is not to be had")

sys.meta_path.insert(0, Refuse())
import tvm_ffi

runtime, library, given, made = sys.argv[1:]
ctypes.CDLL(runtime, ctypes.RTLD_GLOBAL)
machine = tvm_ffi.load_module(library)["vm_load_executable"]()
machine["vm_initialization"](1, 0, 2)  # the CPU, its first device, memory kept for the next run
result = machine["main"](tvm_ffi.from_dlpack(np.load(given)))
np.save(made, np.from_dlpack(result))
assert not {"tvm", "corecast"} & sys.modules.keys()
assert "libtvm_compiler" not in open("/proc/self/maps").read()
"""


@pytest.fixture
def data(tmp_path: Path) -> np.ndarray:
    array = np.random.default_rng(1).standard_normal((1, 8, 6, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    return array


def test_a_library_runs_with_tvms_runtime_alone(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target, data: np.ndarray, tmp_path: Path
):
    """Neither TVM's compiler nor its Python package nor Corecast is there; the weights lie inside."""
    executable = assemble(four_convolutions, weights, cpu, None)
    assert [var.name for var in executable.arguments] == ["x"]
    write_artifact(executable, tmp_path / "model.so")
    assert {path.name for path in tmp_path.iterdir()} == {"model.so", "x.npy"}
    (tmp_path / "alone.py").write_text(ALONE, encoding="utf-8")
    command = [sys.executable, "-E", "alone.py", str(RUNTIME), str(tmp_path / "model.so"), "x.npy", "y.npy"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    [expected] = Runner(build(four_convolutions, cpu), weights)(data)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


def test_object_files_are_linked_elsewhere(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target, tmp_path: Path
):
    """For a target whose linker is not here; any linker makes a library of them, which loads."""
    write_artifact(assemble(four_convolutions, weights, cpu, None), tmp_path / "model.tar")
    with tarfile.open(tmp_path / "model.tar") as file:
        file.extractall(tmp_path / "objects")
    objects = sorted(map(str, (tmp_path / "objects").iterdir()))
    subprocess.run([cc.get_cc(), "-shared", "-o", str(tmp_path / "model.so"), *objects], check=True, timeout=60)
    assert tvm.runtime.load_module(str(tmp_path / "model.so"))["vm_load_executable"]() is not None


def test_code_for_another_cpu_is_compiled_here(four_convolutions: IRModule, weights: dict[str, np.ndarray]):
    """What would not run here is compiled all the same: 183 is Arm's number in the header of an object file."""
    arm = find_target("llvm:neoverse-v1")
    assert unrunnable(four_convolutions, arm).slug == "cannot-run-here"
    assert uncompilable(four_convolutions, arm) is None
    executable = assemble(four_convolutions, weights, arm, None)
    code = executable.code.mod.imports[0]
    assert "neoverse-v1" in code.inspect_source("ll")


def test_a_dtype_that_would_be_wrong_there_is_not_compiled(
    cast_convolution: Callable[[str], IRModule],
):
    """Whether there is such a machine here or not."""
    with pytest.raises(BuildError, match=r"in int4, which llvm:neoverse-n1 cannot run"):
        assemble(cast_convolution("int4"), {}, find_target("llvm:neoverse-n1"), None)


def test_weights_beyond_what_a_library_holds_are_refused(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target, monkeypatch: pytest.MonkeyPatch
):
    """Code does not reach data that lies further than 2 GiB away."""
    monkeypatch.setattr(artifact, "MOST_WEIGHTS", 1000)
    with pytest.raises(BuildError, match="a library holds") as caught:
        assemble(four_convolutions, weights, cpu, None)
    assert caught.value.problems[0].slug == "too-large"


@pytest.mark.parametrize(
    ("name", "target", "slug"),
    [
        ("model.dll", "llvm", "wrong-output"),
        ("model", "llvm", "wrong-output"),
        ("model.so", "llvm:neoverse-n1", "no-linker"),
    ],
)
def test_what_cannot_come_of_a_build_is_said_first(name: str, target: str, slug: str, monkeypatch: pytest.MonkeyPatch):
    """Before minutes of compiling."""
    monkeypatch.setattr(artifact.shutil, "which", lambda _: None)
    with pytest.raises(BuildError) as caught:
        check_output(Path(name), find_target(target))
    assert caught.value.problems[0].slug == slug


def test_a_machine_without_a_compiler_is_told_so(cpu: Target, monkeypatch: pytest.MonkeyPatch):
    """Object files can be written without one."""
    monkeypatch.setattr(cc, "get_cc", lambda: None)
    with pytest.raises(BuildError, match=r"no C compiler is here"):
        check_output(Path("model.so"), cpu)
    check_output(Path("model.tar"), cpu)


def test_what_a_linker_says_is_told(
    four_convolutions: IRModule,
    weights: dict[str, np.ndarray],
    cpu: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """The line that says what is wrong, not the command line of a page; and nothing stays beside it."""
    linker = tmp_path / "full"
    linker.write_text("#!/bin/sh\necho collecting >&2\necho 'ld: model.so: No space left on device' >&2\nexit 1\n")
    linker.chmod(0o755)
    monkeypatch.setenv("CXX", str(linker))
    with pytest.raises(BuildError, match=r"the linker fails: ld: model.so: No space left on device"):
        write_artifact(assemble(four_convolutions, weights, cpu, None), tmp_path / "model.so")
    assert os.listdir(tmp_path) == ["full"]


@pytest.mark.gpu
def test_a_library_for_a_gpu_runs_on_it(
    four_convolutions: IRModule, weights: dict[str, np.ndarray], cpu: Target, data: np.ndarray, tmp_path: Path
):
    """With TVM's default schedules for what nothing was tuned."""
    if not tvm.cuda(0).exist:
        pytest.skip("TVM finds no CUDA device")
    from corecast.api.targets import this_machine

    target = find_target(str(this_machine().gpus[0].target))
    write_artifact(assemble(four_convolutions, weights, target, None), tmp_path / "model.so")
    machine = tvm.runtime.vm.VirtualMachine(tvm.runtime.load_module(str(tmp_path / "model.so")), tvm.cuda(0))
    result = machine["main"](tvm.runtime.tensor(data, tvm.cuda(0))).numpy()
    [expected] = Runner(build(four_convolutions, cpu), weights)(data)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
