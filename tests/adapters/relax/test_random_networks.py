"""Random small convolution networks through random recipes: requested equals realised, and the numbers agree."""

from __future__ import annotations

from dataclasses import dataclass, field

import networks
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from corecast.adapters.relax import apply, emulate, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import parse_table
from corecast.plan import PlanError, format_plan, parse_plan, plan
from corecast.verify import difference, tolerance_of


@dataclass
class Net:
    """A network in the making, as the lines of a layer table; `values` are ids with their shapes (N, C, H, W)."""

    lines: list[str] = field(default_factory=lambda: ["data: float32 2x6x9x9"])
    values: list[tuple[str, tuple[int, ...]]] = field(default_factory=lambda: [("data", (2, 6, 9, 9))])
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, op: str, operands: str, attributes: str, shape: tuple[int, ...]) -> None:
        number = self.counts.setdefault(op, 0)
        self.counts[op] += 1
        sizes = "x".join(map(str, shape))
        self.lines.append(f"{op}#{number}({operands}) {attributes} -> float32 {sizes} @layer{len(self.lines)} follows")
        self.values.append((f"{op}#{number}", shape))


@st.composite
def nets(draw: st.DrawFn) -> str:
    """Convolutions of every kind, with residual sums, concatenations, pools and elementwise operators between them."""
    net = Net()
    for _ in range(draw(st.integers(2, 7))):
        source, (n, c, h, w) = net.values[draw(st.integers(max(0, len(net.values) - 3), len(net.values) - 1))]
        kind = draw(st.sampled_from(["conv", "conv", "conv", "depthwise", "relu", "clip", "add", "concat", "pool"]))
        if kind in ("conv", "depthwise"):
            groups = c if kind == "depthwise" else draw(st.sampled_from([g for g in (1, 2, 3) if c % g == 0]))
            out = c if kind == "depthwise" else groups * draw(st.integers(1, 5))
            k = draw(st.sampled_from([1, 3]))
            stride = draw(st.sampled_from([1, 1, 2]))
            dilation = draw(st.sampled_from([1, 1, 2])) if k == 3 else 1
            pad = dilation * (k // 2)
            size = (h + 2 * pad - dilation * (k - 1) - 1) // stride + 1
            weight = f"%w{len(net.lines)}: float32 {out}x{c // groups}x{k}x{k}"
            attributes = (
                f"strides=[{stride}, {stride}] padding=[{pad}, {pad}, {pad}, {pad}] "
                f"dilation=[{dilation}, {dilation}] groups={groups}"
            )
            net.add("nn.conv2d", f"{source}, {weight}", attributes, (n, out, size, size))
        elif kind == "add":
            same = [name for name, shape in net.values if shape == (n, c, h, w)]
            net.add("add", f"{source}, {draw(st.sampled_from(same))}", "", (n, c, h, w))
        elif kind == "concat":
            fitting = [(name, shape) for name, shape in net.values if shape[2:] == (h, w)]
            other, shape = draw(st.sampled_from(fitting))
            net.add("concat", f"{source}, {other}", "axis=1", (n, c + shape[1], h, w))
        elif kind == "pool" and h >= 2:
            net.add("nn.max_pool2d", source, "pool_size=[2, 2] strides=[2, 2]", (n, c, h // 2, w // 2))
        elif kind == "clip":
            net.add("clip", source, "min=-1.0 max=1.0", (n, c, h, w))
        else:
            net.add("nn.relu", source, "", (n, c, h, w))
    last, (n, c, _, _) = net.values[-1]
    if draw(st.booleans()):
        net.add("mean", last, "axis=[2, 3]", (n, c))
        last = net.values[-1][0]
    return "\n".join([*net.lines, f"return {last}"]) + "\n"


LAYOUTS = st.sampled_from(["HWNC", "NHWC", "NHWC kernel HWIO", "NCHW", "CHWN kernel IHWO"])
DTYPES = st.sampled_from([None, None, "float16", "bfloat16", "float16 -> float16", "int8", "int4"])


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """One or two rules with a layout, perhaps a dtype, and perhaps a skip."""
    lines = [f"skip nn.conv2d #{draw(st.integers(0, 2))}"] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 2))):
        where = draw(st.sampled_from(["", " where groups == 1", " where in_channels > 4", " where k % 2 == 0"]))
        lines.append(f"rule r{number}\n  match nn.conv2d #k{where}\n  set layout {draw(LAYOUTS)}\n  optional")
        if dtype := draw(DTYPES):
            lines.append(f"  cast {dtype}")
    return "\n".join(lines) + "\n"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(nets(), recipes())
def test_a_converted_network_has_what_was_decided_and_computes_the_same(network: str, rules: str) -> None:
    """Whatever the network and the recipe: planned alike twice, realised as planned, equal within the tolerance."""
    original = networks.model_of(network)
    prepared = prepare(original)
    table = survey(prepared)
    recipe = read_recipe(Source("random.rules", rules), table)
    try:
        decided = plan(recipe, table)
    except PlanError:
        event("refused")
        return  # every matched layer was skipped, or overridden by the second rule
    assert parse_plan(format_plan(plan(recipe, table))) == decided
    conversion = apply(decided, prepared)
    error = difference(networks.outputs(original), networks.outputs(emulate(conversion.converted)))
    tolerance = tolerance_of(decided)
    event("hard cast" if tolerance is None else f"within {tolerance}")
    event(f"{len(decided.layers)} layers touched")
    assert tolerance is None or error.max_relative <= tolerance, error
    assert conversion.realised.casts <= decided.predicted.casts


@settings(max_examples=50, deadline=None)
@given(nets())
def test_a_built_network_surveys_as_it_was_written(network: str) -> None:
    """The test's own builder makes what the table says: operators, order, and shapes."""
    table = parse_table(network)
    surveyed = survey(networks.build(table))
    assert [(layer.id, layer.results) for layer in surveyed.layers] == [
        (layer.id, layer.results) for layer in table.layers
    ]
