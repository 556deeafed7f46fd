"""An ONNX model to float16, layer by layer, with the same recipe that TVM models take, and without TVM.

Run it with `python examples/onnx_without_tvm.py`. It needs no model file: the network is written here as text.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import onnx

from corecast.adapters.onnx import apply, load, original_of, read_model, survey, verify_models, write_model
from corecast.api import Source, describe, plan, read_recipe

RULES = Source(
    "half.rules",
    """
# Half precision where the arithmetic is; the stem and what normalises keep theirs.
skip nn.conv2d #0
match nn.conv2d or nn.dense or nn.relu or add
  cast float16 unless skipped
  expect >= 4
""",
)

NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
network (float[2,3,16,16] image) => (float[2,10] classes)
{
    stem_shape = Constant<value = int64[4] {16,3,3,3}>()
    body_shape = Constant<value = int64[4] {16,16,3,3}>()
    head_shape = Constant<value = int64[2] {16,10}>()
    stem_weight = ConstantOfShape(stem_shape)
    body_weight = ConstantOfShape(body_shape)
    head_weight = ConstantOfShape(head_shape)
    [stem] a = Conv<pads = [1,1,1,1]>(image, stem_weight)
    [stem_relu] b = Relu(a)
    [body] c = Conv<pads = [1,1,1,1]>(b, body_weight)
    [sum] d = Add(c, b)
    [pool] e = GlobalAveragePool(d)
    [flat] f = Flatten(e)
    [head] g = MatMul(f, head_weight)
    [softmax] classes = Softmax(g)
}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(onnx.parser.parse_model(NETWORK), Path(folder, "network.onnx"))
        # A network without weights of its own gets seeded ones, so that there is something to compare.
        model = load(Path(folder, "network.onnx"), weights="random:0")
        table = survey(model)
        decided = plan(read_recipe(RULES, table), table)
        print(describe(decided, table))

        converted = read_model(write_model(apply(decided, model), Path(folder, "half.onnx")))
        for node in converted.model.proto.graph.node:
            print(f"{node.name:<18} {node.op_type:<18} {', '.join(node.output)}")
        print()
        verification = verify_models(converted.plan, original_of(converted), converted.model)
    print(verification)
    assert verification.verdict == "pass"
    assert "tvm" not in sys.modules


if __name__ == "__main__":
    main()
