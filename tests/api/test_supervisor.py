"""Where native code ends the process of a command, its parent is still there to say what died, in what, at which layer.

The crashes are real ones: a null pointer is followed, `abort` is called.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

HEADER = """
import ctypes, os, signal, sys, time
from corecast.api import cli
from corecast.report.activity import doing, note, one_by_one

def supervise(command):
    cli.main = command
    sys.exit(cli.run())
"""

CRASHES = {"SIGSEGV": "ctypes.string_at(0)", "SIGABRT": "os.abort()"}


def script(text: str, *arguments: str, folder: Path) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(HEADER + text, encoding="utf-8")
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(path), *arguments], cwd=folder, **streams)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status, and standard error without what the C library and TVM print of a crash."""
    _, errors = process.communicate(timeout=120)
    ours = ("error", "native code", "  help")
    return process.returncode, "".join(line for line in errors.splitlines(True) if line.startswith(ours))


def test_an_ordinary_command_keeps_its_exit_status(tmp_path: Path) -> None:
    """The parent has nothing to add."""
    assert outcome(script("supervise(lambda: 1)", folder=tmp_path)) == (1, "")


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_told_with_its_signal_and_what_was_being_done(name: str, tmp_path: Path) -> None:
    """Without Python in between: the process is gone."""
    text = f"""
def command():
    with doing("read the model"), doing("its weights"):
        {CRASHES[name]}
supervise(command)
"""
    status, errors = outcome(script(text, folder=tmp_path))
    assert status == 3
    assert f"error[crashed]: native code died of {name} in: read the model, its weights\n" in errors


def test_what_is_many_layers_in_one_is_done_again_one_by_one(tmp_path: Path) -> None:
    """And nothing behind it: the second process ends where the first one died, and writes nothing."""
    text = f"""
def command():
    with doing("before", divisible=True):
        print("layer by layer" if one_by_one() else "at once", file=open("before", "a"))
    with doing("compiling", divisible=True):
        for number in range(3) if one_by_one() else ():
            note(f"layer {{number}}")
            if number == 1:
                {CRASHES["SIGSEGV"]}
        {CRASHES["SIGABRT"]}
supervise(command)
"""
    status, errors = outcome(script(text, folder=tmp_path))
    assert status == 3
    assert "native code died of SIGABRT in: compiling, layer 1\n" in errors
    assert (tmp_path / "before").read_text() == "at once\nat once\n"


def test_a_crash_that_does_not_happen_again_is_told_as_one(tmp_path: Path) -> None:
    """What stands behind it is not done: the command has failed."""
    text = f"""
def command():
    with doing("compiling", divisible=True):
        if not one_by_one():
            {CRASHES["SIGSEGV"]}
    open("behind", "w")
supervise(command)
"""
    status, errors = outcome(script(text, folder=tmp_path))
    assert status == 3
    assert "died of SIGSEGV in: compiling; layer by layer it did not happen again" in errors
    assert not (tmp_path / "behind").exists()


def test_a_command_that_was_killed_says_what_it_was_in(tmp_path: Path) -> None:
    """Most often that is the kernel, for want of memory."""
    text = """
def command():
    with doing("fold weights"):
        os.kill(os.getpid(), signal.SIGKILL)
supervise(command)
"""
    status, errors = outcome(script(text, folder=tmp_path))
    assert status == 137
    assert "error[killed]: the command was killed (SIGKILL) in: fold weights\n" in errors


SLEEPER = """
def command():
    print(os.getpid(), flush=True)
    time.sleep(60)
    return 0
supervise(command)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_ends_the_parent_ends_the_command(number: signal.Signals, tmp_path: Path) -> None:
    """A shell or a scheduler knows the parent alone."""
    process = script(SLEEPER, folder=tmp_path)
    child = int(process.stdout.readline())
    process.send_signal(number)
    status, _ = outcome(process)
    assert status == (128 + number if number == signal.SIGTERM else -number)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the command went on")


# ── with TVM ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[1,3,8,8] image) => (float[1,4,6,6] y)
<float[4,3,3,3] w = {ONES}>
{
    [stem] a = Conv(image, w)
    [active] y = Relu(a)
}
""".replace("ONES", ", ".join(["1"] * 108))

# A relu whose lowering, or whose compiled code, follows a null pointer.
DEADLY_RELU = """
where = sys.argv.pop(1)
app = cli.app

def app_with_deadly_relu(arguments, **options):
    import tvm, tvm_ffi
    from tvm import te, tirx
    tvm_ffi.register_global_func("test.crash", lambda *_: ctypes.string_at(0))

    def legalize(builder, call):
        if where == "compiling":
            ctypes.string_at(0)
        kernel = lambda ins, outs: tirx.call_packed("test.crash", ins[0], outs[0])
        relu = lambda x: te.extern(x.shape, [x], kernel, dtype="float32")
        return builder.call_te(relu, call.args[0], primfunc_name_hint="relu")

    tvm.ir.register_op_attr("relax.nn.relu", "FLegalize", legalize, level=11)
    return app(arguments, **options)

cli.app = app_with_deadly_relu
sys.exit(cli.run())
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from corecast.api.cli import main

    folder = tmp_path_factory.mktemp("crash")
    onnx.save(onnx.parser.parse_model(NETWORK), str(folder / "network.onnx"))
    (folder / "case.rules").write_text("match nn.conv2d, set layout HWNC\n", encoding="utf-8")
    assert main(["apply", str(folder / "case.rules"), str(folder / "network.onnx"), "-o", str(folder / "bundle")]) == 0
    return folder / "bundle"


@pytest.mark.parametrize(
    ("where", "command", "place"),
    [
        ("compiling", "run", "build bundle for this CPU, compiling, layer `active` by itself, compiling"),
        ("running", "verify", "compile and run both, and the control, the original, running, layer `active` by itself"),
    ],
)
def test_a_crash_inside_tvm_is_told_with_its_layer(
    where: str, command: str, place: str, bundle: Path, tmp_path: Path
) -> None:
    """While it compiles, and in what it has compiled."""
    (tmp_path / "bundle").symlink_to(bundle)
    status, errors = outcome(script(DEADLY_RELU, where, command, "bundle", folder=tmp_path))
    assert status == 3
    assert f"native code died of SIGSEGV in: {place}" in errors
