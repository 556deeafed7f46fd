"""Compiled passes inside a TVM `Sequential`: a recipe as one step of another pipeline, seen by TVM's instruments.

`recipe_pass` plans for whatever module reaches it; here it stands between TVM's own passes, with the weights as
constants in the module, so that TVM's constant folding does to them what `corecast apply` does with numpy.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.ir.instrument import PassTimingInstrument

from corecast.api import Source, read_recipe, recipe_pass

RULES = Source("pipeline.rules", "match nn.conv2d #k where groups == 1, set layout NHWC\n")


def network() -> tvm.IRModule:
    """Three convolutions with constant weights."""
    random = np.random.default_rng(0)
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType((1, 16, 32, 32), "float32"))
    with builder.function("main", [image]):
        with builder.dataflow():
            value = image
            for _ in range(3):
                weight = relax.const(random.standard_normal((16, 16, 3, 3)).astype("float32") / 12)
                value = builder.emit(relax.op.nn.relu(builder.emit(relax.op.nn.conv2d(value, weight, padding=1))))
            value = builder.emit_output(value)
        builder.emit_func_output(value)
    return builder.get()


def run(module: tvm.IRModule, image: np.ndarray) -> np.ndarray:
    machine = relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())
    return machine["main"](tvm.runtime.tensor(image)).numpy()


def main() -> None:
    module = network()
    pipeline = tvm.transform.Sequential(
        [
            relax.transform.CanonicalizeBindings(),
            recipe_pass(read_recipe(RULES)),
            relax.transform.FoldConstant(),
            relax.transform.DeadCodeElimination(),
        ]
    )
    timing = PassTimingInstrument()
    with tvm.transform.PassContext(opt_level=2, instruments=[timing]):
        converted = pipeline(module)
        print("\n".join(line for line in timing.render().splitlines() if "corecast" in line))
    print(converted.script(show_meta=False))
    image = np.random.default_rng(1).standard_normal((1, 16, 32, 32)).astype("float32")
    before, after = run(module, image), run(converted, image)
    print(f"largest difference: {np.abs(before - after).max() / np.abs(before).max():.1e} of the largest value")


if __name__ == "__main__":
    main()
