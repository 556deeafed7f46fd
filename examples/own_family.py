"""A recipe for a family of one's own: written once, planned for two networks of the family, carried out and proven.

The family is a small residual network in two widths. The recipe names what its members have in common (stem, blocks,
head), never a layer's number, so it reads the same for both; its contracts say what every member must have.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from corecast.api import (
    Source,
    apply,
    load,
    plan,
    prepare,
    read_bundle,
    read_recipe,
    survey,
    verify_bundle,
    write_bundle,
)

RULES = Source(
    "tiny_resnet.rules",
    """
recipe tiny-resnet "1.0"
requires tvm >= 0.27

let stem = nn.conv2d where in_channels < 16

skip stem

rule blocks
  match c: nn.conv2d #k -> nn.relu where k not in {0}
  set layout HWNC on c unless skipped
  cast float16 on c unless skipped
  expect >= 1

rule before_the_sum
  match nn.conv2d where feeds add
  set layout HWNC
  cast float16

rule head
  match nn.dense #-1
  keep
""",
)


def member(width: int, blocks: int, path: Path) -> Path:
    """Write a member of the family as ONNX, with seeded weights."""
    random = np.random.default_rng(width)
    nodes, weights = [], []

    def weight(name: str, *shape: int) -> str:
        values = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(name: str, source: str, inputs: int) -> str:
        operands = [source, weight(f"{name}.weight", width, inputs, 3, 3)]
        nodes.append(helper.make_node("Conv", operands, [name], name=name, pads=[1, 1, 1, 1]))
        return name

    def node(op: str, *operands: str, name: str) -> str:
        nodes.append(helper.make_node(op, list(operands), [name], name=name))
        return name

    value = node("Relu", conv("stem", "image", 3), name="stem.relu")
    for number in range(blocks):
        first = node("Relu", conv(f"block{number}.conv1", value, width), name=f"block{number}.relu1")
        added = node("Add", conv(f"block{number}.conv2", first, width), value, name=f"block{number}.add")
        value = node("Relu", added, name=f"block{number}.relu2")
    pooled = node("Flatten", node("GlobalAveragePool", value, name="pool"), name="flat")
    node("MatMul", pooled, weight("fc.weight", width, 10), name="logits")
    graph = helper.make_graph(
        nodes,
        "tiny_resnet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [8, 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [8, 10])],
        weights,
    )
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), str(path))
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for width, blocks in ((32, 2), (64, 4)):
            model = prepare(load(member(width, blocks, folder / f"tiny_resnet_{width}.onnx")))
            table = survey(model)
            decided = plan(read_recipe(RULES, table), table)
            for rule in decided.rules:
                print(f"{model.name}: {rule.rule} matched {rule.matched}, realised {rule.realised}")
            write_bundle(apply(decided, model), folder / f"bundle_{width}")
            print(verify_bundle(read_bundle(folder / f"bundle_{width}")), end="\n\n")


if __name__ == "__main__":
    main()
