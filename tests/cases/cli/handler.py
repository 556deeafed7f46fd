"""Runs the cases of the command line: files written into an empty folder, commands run there, their output compared.

What differs from run to run is replaced: seconds, digests, and the figures of a machine's speed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx

from corecast.api.cli import main
from corecast.api.library import recipe_root

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[2,3,16,16] image) => (float[2,10] probabilities)
{
    stem_shape = Constant<value = int64[4] {16,3,3,3}>()
    body_shape = Constant<value = int64[4] {32,16,3,3}>()
    head_shape = Constant<value = int64[4] {32,32,1,1}>()
    fc_shape = Constant<value = int64[2] {32,10}>()
    stem_weight = ConstantOfShape(stem_shape)
    body_weight = ConstantOfShape(body_shape)
    head_weight = ConstantOfShape(head_shape)
    fc_weight = ConstantOfShape(fc_shape)
    [stem] a = Conv<pads = [1,1,1,1]>(image, stem_weight)
    [stem_relu] b = Relu(a)
    [body] c = Conv<pads = [1,1,1,1]>(b, body_weight)
    [body_relu] d = Relu(c)
    [head] e = Conv(d, head_weight)
    [sum] f = Add(e, d)
    [pool] g = GlobalAveragePool(f)
    [flat] h = Flatten(g)
    [fc] i = MatMul(h, fc_weight)
    [softmax] probabilities = Softmax(i)
}
"""

SCRUBBED = [
    (re.compile(r"\(\d+\.\d s\)"), "(… s)"),
    (re.compile(r"\b\d+\.\d+ s;"), "… s;"),
    (re.compile(r"\.so: \d+\.\d KiB"), ".so: … KiB"),
    (re.compile(r"this is \d+\.\d+\.\d\S*\d"), "this is …"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:…"),
    # Another order of summation on another CPU moves the last digits.
    (re.compile(r"(?![01]\.00e\+00)\d\.\d\de[+-]\d\d (?=of the largest|is within)"), "… "),
    (re.compile(r"(?<=cosine >= 0\.99: )\d\.\d+"), "…"),
    (re.compile(r"error \d\.\d\de-\d\d"), "error …"),
    (re.compile(r"\b\d\.\d\de[+-]\d\d\b(?! of the largest)"), "…"),
    (re.compile(r"cosine [\d.]+, -?[\d.]+ dB"), "cosine …, … dB"),
    (re.compile(r"\b\d+\.\d dB"), "… dB"),
    (re.compile(r"from [-\d.e]+ to [-\d.e]+, mean [-\d.e]+"), "from … to …, mean …"),
]


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `rules`, other named files and `commands` to their `output`, with every exit status that is not 0.

    In a block of `files`, each one begins with its path: `== packs/tensorcore/pack.yaml ==`.
    """
    lines = []
    with tempfile.TemporaryDirectory() as folder, _inside(folder):
        onnx.save(onnx.parser.parse_model(NETWORK), "network.onnx")
        for kind, name in (("rules", "case.rules"), ("plan", "edited.yaml"), ("python", "prepare.py")):
            if kind in blocks:
                Path(name).write_text(blocks[kind], encoding="utf-8")
        for path, text in re.findall(r"^== (.+) ==\n((?:(?!== ).*\n)*)", blocks.get("files", ""), re.MULTILINE):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text, encoding="utf-8")
        if "python" in blocks:
            exec(compile(blocks["python"], "prepare.py", "exec"), {})
        for command in blocks["commands"].splitlines():
            status, output = _execute(command)
            lines.append(f"$ {command}\n{output}" + (f"[exit {status}]\n" if status else ""))
    return {"output": "".join(lines)}


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _execute(command: str) -> tuple[int, str]:
    command, redirected, file = command.partition(" > ")
    program, *arguments = shlex.split(command)
    if program != "corecast":
        # `python` is the one that runs the tests, whatever the caller's path says.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            command + redirected + file,
            shell=True,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": path},
        )
        return done.returncode, done.stdout + done.stderr
    stream = io.StringIO()
    with (
        open(file, "w") if redirected else contextlib.nullcontext(stream) as out,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(stream),
    ):
        status = main(arguments)
    text = stream.getvalue().replace(f"{Path.cwd()}/", "…/").replace(str(recipe_root()), "…/recipes")
    for pattern, replacement in SCRUBBED:
        text = pattern.sub(replacement, text)
    return status, "\n".join(line.rstrip() for line in text.splitlines()) + "\n" if text else ""
