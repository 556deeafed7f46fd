"""Random networks, quantized in random schemes with random exceptions, agree with the reference to the last bit."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from quantized import Quantized

SCHEMES = ("int8", "int8 asymmetric", "uint8", "int8 weights per_tensor", "uint8 weights per_tensor")


@dataclass
class _Network:
    """The text of a network in the making; `values` are what a layer may read, with their shapes."""

    draw: st.DrawFn
    lines: list[str] = field(default_factory=lambda: ["data: float32 1x4x6x6"])
    values: list[tuple[str, tuple[int, ...]]] = field(default_factory=lambda: [("data", (1, 4, 6, 6))])
    counts: dict[str, int] = field(default_factory=dict)

    def emit(self, op: str, operands: str, attributes: str, shape: tuple[int, ...]) -> str:
        number = self.counts[op] = self.counts.get(op, -1) + 1
        tensor = f"float32 {'x'.join(map(str, shape))}"
        self.lines.append(f"{op}#{number}({operands}) {attributes} -> {tensor} @{op.split('.')[-1]}{number}")
        self.values.append((f"{op}#{number}", shape))
        return f"{op}#{number}"

    def convolution(self) -> None:
        source, (batch, channels, *space) = self.values[-1]
        size, wide = self.draw(st.sampled_from([1, 3])), self.draw(st.sampled_from([4, 8]))
        groups = self.draw(st.sampled_from([1, channels] if wide == channels else [1]))
        weight = f"%w{len(self.lines)}: float32 {wide}x{channels // groups}x{size}x{size}"
        padding = size // 2
        attributes = f"padding=[{padding}, {padding}, {padding}, {padding}] groups={groups}"
        made = self.emit("nn.conv2d", f"{source}, {weight}", attributes, (batch, wide, *space))
        if self.draw(st.booleans()):
            bias = f"%b{len(self.lines)}: float32 1x{wide}x1x1"
            self.emit("add", f"{made}, {bias}", "", (batch, wide, *space))

    def relu(self) -> None:
        self.emit("nn.relu", self.values[-1][0], "", self.values[-1][1])

    def pool(self) -> None:
        source, (batch, channels, height, width) = self.values[-1]
        if height % 2 == 0:
            attributes = "pool_size=[2, 2] strides=[2, 2]"
            self.emit("nn.max_pool2d", source, attributes, (batch, channels, height // 2, width // 2))

    def sum(self) -> None:
        source, shape = self.values[-1]
        other = self.draw(st.sampled_from([name for name, have in self.values if have == shape]))
        self.emit("add", f"{source}, {other}", "", shape)

    def join(self) -> None:
        source, (batch, channels, *space) = self.values[-1]
        others = [name for name, have in self.values if have == (batch, channels, *space)]
        self.emit("concat", f"{self.draw(st.sampled_from(others))}, {source}", "axis=1", (batch, 2 * channels, *space))


@st.composite
def networks_and_rules(draw: st.DrawFn) -> tuple[str, str]:
    network = _Network(draw)
    network.convolution()
    for step in draw(st.lists(st.sampled_from(["convolution", "relu", "pool", "sum", "join"]), min_size=1, max_size=5)):
        getattr(network, step)()
    network.convolution()
    returned = {network.values[-1][0], draw(st.sampled_from(network.values[1:]))[0]}
    convolutions = network.counts["nn.conv2d"] + 1
    rules = [f"match nn.conv2d, quantize {draw(st.sampled_from(SCHEMES))}"]
    rules.append(
        f"match nn.conv2d #{draw(st.integers(0, convolutions - 1))}, quantize {draw(st.sampled_from(SCHEMES))}"
    )
    if layout := draw(st.sampled_from([None, "HWNC", "NHWC"])):
        rules.append(f"match nn.conv2d, set layout {layout}")
    others = [op for op in network.counts if op != "nn.conv2d"]
    if others and draw(st.booleans()):
        op = draw(st.sampled_from(others))
        rules.append(f"match {op} #{draw(st.integers(0, network.counts[op]))}, keep dtype")
    return "\n".join([*network.lines, f"return {', '.join(sorted(returned))}"]), "\n".join(rules)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks_and_rules())
def test_random_networks_are_computed_on_integers(drawn: tuple[str, str]) -> None:
    """What is realised is what was predicted, too; distances to the floats depend on the weights drawn, loosely."""
    network = Quantized.of(*drawn)
    for role in set(network.integers.roles.values()):
        event(role)
    assert network.compared() > 10
