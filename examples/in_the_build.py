"""A recipe inside `tvm.compile`: the first step of Relax's own build pipeline, under one `PassContext` with all of it.

The build calls the pipeline that it is given; ours converts and goes on with the default one of the target. Instruments
see our passes with their names beside TVM's, and a pass that the context switches off is an error, not a recipe that
was silently left out.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.ir.instrument import pass_instrument

from corecast.api import Source, read_recipe, recipe_pass

RULES = Source("build.rules", "match nn.conv2d #k where groups == 1, set layout NHWC\n")


@pass_instrument
class Names:
    """The names of all passes in the order in which they ran, each with the level that TVM enables it from."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run_after_pass(self, module: tvm.IRModule, info: tvm.transform.PassInfo) -> None:  # noqa: ARG002
        self.ran.append(f"{info.name} (from level {info.opt_level})")


def network() -> tvm.IRModule:
    """Two convolutions with constant weights."""
    random = np.random.default_rng(0)
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType((1, 16, 32, 32), "float32"))
    with builder.function("main", [image]):
        with builder.dataflow():
            value = image
            for _ in range(2):
                weight = relax.const(random.standard_normal((16, 16, 3, 3)).astype("float32") / 12)
                value = builder.emit(relax.op.nn.relu(builder.emit(relax.op.nn.conv2d(value, weight, padding=1))))
            value = builder.emit_output(value)
        builder.emit_func_output(value)
    return builder.get()


def run(executable: relax.VMExecutable, image: np.ndarray) -> np.ndarray:
    return relax.VirtualMachine(executable, tvm.cpu())["main"](tvm.runtime.tensor(image)).numpy()


def main() -> None:
    module, target = network(), tvm.target.Target("llvm")
    pipeline = tvm.transform.Sequential([recipe_pass(read_recipe(RULES)), relax.get_default_pipeline(target)])
    names = Names()
    with tvm.transform.PassContext(opt_level=3, instruments=[names]):
        converted = tvm.compile(module, target, relax_pipeline=pipeline)
    ours = [name for name in names.ran if name.startswith("corecast.")]
    print(f"{len(names.ran)} passes ran, {len(ours)} of them ours:", *ours, sep="\n  ")

    image = np.random.default_rng(1).standard_normal((1, 16, 32, 32)).astype("float32")
    before, after = run(tvm.compile(module, target), image), run(converted, image)
    print(f"largest difference: {np.abs(before - after).max() / np.abs(before).max():.1e} of the largest value")

    try:
        with tvm.transform.PassContext(disabled_pass=["corecast.ConvertLayout"]):
            tvm.compile(module, target, relax_pipeline=pipeline)
    except Exception as error:
        print("with a pass switched off:", str(error).strip().splitlines()[-1])


if __name__ == "__main__":
    main()
