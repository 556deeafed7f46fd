"""Tunes the original's HWNC int8 tensor-core template on layers of ResNet-18, through the command line, on a GPU.

Run it with a Python whose `tvm` has Relay and that can import `corecast`, on a machine with an NVIDIA GPU and nvcc:

    python docs/relay_tune.py --folder tuned

It saves ResNet-18 (batch 8) as JSON, converts it (HWNC, int8, the stem skipped), and tunes a few of its layers for the
architecture of the GPU; every command is printed before it runs. The last one is the same again: what is on record is
not tuned twice. Without a GPU the tasks are listed, and the exit status is that of `corecast tune`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import tvm
from tvm.relay import testing

RULES = """\
# What the original's six lines did, and tuning for the layers that they converted.
skip nn.conv2d #0

rule tensor_cores
  match nn.conv2d
  set layout HWNC unless skipped
  cast int8 -> int32 unless skipped
  tune tensorcore unless skipped
"""

# A 3x3 convolution of each stage, with 64, 128, 256 and 512 channels.
LAYERS = ("nn.conv2d#1", "nn.conv2d#7", "nn.conv2d#12", "nn.conv2d#17")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep model, rules and bundle here")
    parser.add_argument("--layer", action="append", help=f"instead of {', '.join(LAYERS)}; repeatable")
    parser.add_argument("--trials", type=int, default=32, help="candidates for each kernel")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", help="such as cuda:sm_80; the GPU's own if not given, sm_80 without a GPU")
    options = parser.parse_args()
    if options.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            return convert_and_tune(Path(folder), options)
    options.folder.mkdir(parents=True, exist_ok=True)
    return convert_and_tune(options.folder, options)


def convert_and_tune(folder: Path, options: argparse.Namespace) -> int:
    module, _ = testing.resnet.get_workload(num_layers=18, batch_size=8)
    (folder / "resnet18.json").write_text(tvm.ir.save_json(module), encoding="utf-8")
    (folder / "hwnc.rules").write_text(RULES, encoding="utf-8")
    if not (folder / "bundle").exists() and (status := corecast(folder, "apply hwnc.rules resnet18.json -o bundle")):
        return status
    layers = "".join(f" --layer {layer}" for layer in options.layer or LAYERS)
    tune = f"tune bundle --target {options.target or here()} --trials {options.trials} --seed {options.seed}{layers}"
    status = corecast(folder, tune)
    return status or corecast(folder, tune)


def here() -> str:
    device = tvm.cuda(0)
    return f"cuda:sm_{device.compute_version.replace('.', '')}" if device.exist else "cuda:sm_80"


def corecast(folder: Path, command: str) -> int:
    """Run `corecast COMMAND` in a folder and give its exit status."""
    print(f"$ corecast {command}", flush=True)
    # Relative entries of the path would be looked for in the folder.
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path, "TOPHUB_LOCATION": "NONE"}
    return subprocess.run(
        [sys.executable, "-m", "corecast.api", *command.split()], cwd=folder, env=environment
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
