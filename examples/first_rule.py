"""The first rule: read it, see its plan on a small network, carry it out, and look at the IR.

Run it with `python examples/first_rule.py`. It needs no model file: the network is built here with TVM.
"""

# TVMScript is Python to the parser only: its functions have no self.
# ruff: noqa: N805, N812

from __future__ import annotations

import numpy as np
import tvm
from tvm.script import ir as I
from tvm.script import relax as R

from corecast.api import Source, apply, describe, load, plan, prepare, read_recipe, survey

RULES = Source(
    "first.rules",
    """
# The stem has three input channels; the others go to HWNC in float16.
let stem = nn.conv2d where in_channels < 16
skip stem
match nn.conv2d #k, set layout HWNC, cast float16 unless skipped
""",
)


@I.ir_module
class Network:
    @R.function
    def main(
        image: R.Tensor((8, 3, 32, 32), "float32"),
        stem_weight: R.Tensor((64, 3, 3, 3), "float32"),
        body_weight: R.Tensor((64, 64, 3, 3), "float32"),
    ):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            stem = R.nn.conv2d(image, stem_weight, padding=[1, 1, 1, 1])
            active = R.nn.relu(stem)
            body = R.nn.conv2d(active, body_weight, padding=[1, 1, 1, 1])
            pooled = R.mean(body, axis=[2, 3])
            R.output(pooled)
        return pooled


def network() -> tvm.IRModule:
    """The module with seeded weights, in the attribute `params` that TVM's own frontends use."""
    random = np.random.default_rng(0)
    shapes = {"stem_weight": (64, 3, 3, 3), "body_weight": (64, 64, 3, 3)}
    weights = [tvm.runtime.tensor(random.standard_normal(shape).astype("float32")) for shape in shapes.values()]
    module = Network.clone()
    module["main"] = module["main"].with_attr("params", weights)
    return module


def main() -> None:
    model = prepare(load(network()))
    table = survey(model)
    decided = plan(read_recipe(RULES, table), table)
    print(describe(decided, table))
    conversion = apply(decided, model)
    print(conversion.converted.module.script(show_meta=False))
    print(conversion.realised)


if __name__ == "__main__":
    main()
