"""The main job in one go, on the real ResNet-50 graph that the `onnx` package ships.

Every step is a command of the command line, printed before it runs, so that each can be repeated by hand. The shipped
weights are constants, with which any computation gives the same answer; `--weights random:0` fills in seeded values.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from time import perf_counter

import onnx

from corecast.api.cli import main

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "demo"
MODEL = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"

STEPS = [
    ("What is in the model?", "count resnet50.onnx --weights random:0"),
    (
        "What would the recipe do, and which line says so?",
        "plan resnet resnet50.onnx --weights random:0 -o plan.yaml",
    ),
    (
        "Why is the first convolution left alone?",
        "explain resnet resnet50.onnx nn.conv2d#0 --weights random:0",
    ),
    ("Which TVM passes is that?", "compile resnet resnet50.onnx --weights random:0"),
    ("Carry out the plan.", "apply resnet50.onnx --plan plan.yaml --weights random:0 -o bundle"),
    ("Are the answers still the same?", "verify bundle"),
    ("Run it on this CPU.", "run bundle"),
    (
        "Tune two of its layers.",
        "tune bundle --layer nn.conv2d#2 --layer nn.conv2d#12 --trials 8",
    ),
    ("Run it again, with what was tuned.", "run bundle"),
]


def demo() -> int:
    """Run every step; the exit status of the first that fails."""
    start = perf_counter()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    shutil.copy(MODEL, DEMO / "resnet50.onnx")
    print(f"# The ResNet-50 graph of the onnx package, in {_from_here(DEMO)}/")
    for question, command in STEPS:
        arguments = [_place(word) for word in shlex.split(command)]
        print(f"\n# {question}\n$ corecast {shlex.join(arguments)}", flush=True)
        status = main(arguments)
        if status:
            return status
    print(f"\n# Done in {perf_counter() - start:.0f} s. The bundle lies in {_from_here(DEMO / 'bundle')}/:")
    for path in sorted((DEMO / "bundle").iterdir()):
        print(f"#   {path.name}{'/' if path.is_dir() else ''}")
    return 0


def _place(word: str) -> str:
    """The recipe lies in the checkout, everything else in the demo's folder."""
    if word.startswith("rules/"):
        return _from_here(ROOT / word)
    return _from_here(DEMO / word) if word in {"resnet50.onnx", "plan.yaml", "bundle"} else word


def _from_here(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(demo())
