"""Layer tables and rules that hypothesis makes up: small ones, in which most words and most rules come to something."""

from __future__ import annotations

from hypothesis import strategies as st

from corecast.model import LayerTable, parse_table


@st.composite
def tables(draw: st.DrawFn) -> LayerTable:
    """Runs of equal operators in any graph; some have names, some a dynamic size, some are read twice or returned."""
    lines = ["data: float32 1x4x8x8"]
    counts: dict[str, int] = {}
    values = ["data"]
    known: dict[str, str] = {}
    for _ in range(draw(st.integers(1, 5))):
        op = draw(st.sampled_from(["nn.conv2d", "nn.conv2d", "nn.relu", "add", "concat", "nn.dense"]))
        groups, size = draw(st.sampled_from([1, 4])), draw(st.sampled_from(["8", "8", "8", "n"]))
        for _ in range(draw(st.integers(1, 4))):
            number = counts[op] = counts.get(op, -1) + 1
            first, second = values[-1], draw(st.sampled_from(values[-3:]))
            weight = f"%{draw(st.sampled_from(['a', 'b', 'stem']))}.{len(lines)}: float32"
            known[weight.partition(":")[0]] = summary(draw)
            operands = {
                "nn.conv2d": f"{first}, {weight} 4x{4 // groups}x3x3",
                "nn.dense": f"{first}, {weight} 8x8",
                "nn.relu": first,
            }.get(op, f"{first}, {second}")
            attributes = f"groups={groups} strides=[{groups}, 1]" if op == "nn.conv2d" else ""
            source = draw(st.sampled_from(["", f" @node{len(lines)}"]))
            lines.append(f"{op}#{number}({operands}) {attributes} -> float32 1x4x{size}x8{source} follows")
            values.append(f"{op}#{number}")
    lines += [f"return {values[-1]}, {draw(st.sampled_from(values))}"]
    return parse_table("\n".join([*lines, *(f"{name}: {values}" for name, values in known.items())]))


def summary(draw: st.DrawFn) -> str:
    """What is known of a weight, which may hold nothing but NaN."""
    low, high, share = draw(st.sampled_from([("-2.5", "2", "0.5"), ("0.0", "4", "0.0"), ("null", "null", "0.0")]))
    return f"min={low} max={high} mean={high} mean_abs={high} zeros={share} nans={1.0 if low == 'null' else 0.0}"


OPERATORS = st.sampled_from("nn.conv2d nn.conv2d nn.relu add concat nn.dense nn.* * * some skipped".split())
WORDS = st.sampled_from("groups out_channels ordinal ordinal depth users flops axis name op height".split())
COMPARATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NUMBERS = st.sampled_from([1, 0, 2, 4, 3, -1])
PATTERNS = st.sampled_from(["a.*", "*.1", "stem.?", "node1*"])


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    word, number, other = draw(WORDS), draw(NUMBERS), draw(NUMBERS)
    kinds = {
        "place": f"{draw(st.sampled_from(['ordinal', 'depth']))} {draw(COMPARATORS)} {number}",
        "value": f"{word} {draw(COMPARATORS)} {number}",
        "link": f"{number} <= {word} < {draw(WORDS)}",
        "sum": f"{word} {draw(st.sampled_from('+-*/%%'))} {number} == {other}",
        "set": f'{word} {draw(st.sampled_from(["in", "not in"]))} {{{number}, 1..3, "add"}}',
        "like": f'{draw(st.sampled_from(["name", "source", "op"]))} like "{draw(PATTERNS)}"',
        "word": draw(st.sampled_from(["depthwise", "pointwise", "users", "name"])),
        "near": draw(st.sampled_from(["feeds add", "fed_by nn.conv2d", "feeds not nn.relu", "inside chain"])),
        "far": f"{draw(st.sampled_from(['feeds', 'fed_by']))} {draw(OPERATORS)} within {draw(st.integers(2, 4))}",
        "weight": f"{draw(st.sampled_from(['max_abs', 'min', 'zeros']))}(weight) {draw(COMPARATORS)} {number}",
        "list": f"strides {draw(COMPARATORS)} [{draw(st.sampled_from([1, 4]))}, 1]",
        "any": f'parameters like "{draw(PATTERNS)}"',
    }
    kind = draw(st.sampled_from([*kinds, *(["not", "and", "or"] if depth else [])]))
    if kind in kinds:
        return kinds[kind]
    parts = draw(st.lists(conditions(depth - 1), min_size=2, max_size=3))
    return f"not ({parts[0]})" if kind == "not" else f"({f' {kind} '.join(parts)})"


@st.composite
def selectors(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return f"nn.conv2d #k where k {draw(st.sampled_from(['in {0, -1}', 'not in {-2..-1, 0}', '% 2 == 0']))}"
    if kind == 1:
        return f"(c: nn.conv2d -> r: nn.relu) where c.groups == 1 or r.{draw(WORDS)} != {draw(NUMBERS)}"
    if kind == 2:
        return draw(st.sampled_from(["nn.conv2d -> nn.conv2d -> nn.relu", "nn.conv2d -> nn.relu -> nn.conv2d"]))
    if kind == 3:
        return f"nn.conv2d #{draw(st.sampled_from(['0', '-1', '0..1', '-2..-1', '7']))}"
    one, two = (f"{draw(OPERATORS)} where {draw(conditions())}" for _ in range(2))
    if kind == 9:
        count = draw(st.integers(1, 3))
        key = draw(st.sampled_from(["ordinal % 2", "groups", "max_abs(weight)", "name", "out_channels + depth"]))
        picks = [f"first {count}", f"last {count}", f"largest {count} by {key}", f"smallest {count} by {key}"]
        return f"{draw(st.sampled_from(picks))} of ({draw(st.sampled_from([one, 'nn.conv2d -> nn.relu', '*']))})"
    joined = {6: f"({one}) or ({two})", 7: f"({one}) except ({two})", 8: f"({one}) and not ({two})"}
    return joined.get(kind, one)


REQUESTS = st.sampled_from(
    [
        "set layout HWNC",
        "set layout NHWC unless skipped",
        "cast int8 else float16",
        "cast float16 unless nn.relu or some",
        "keep dtype",
        "tune tensorcore even if skipped",
        "set layout NDHWC else keep",
    ]
)


@st.composite
def rules(draw: st.DrawFn) -> str:
    lines = [f"let some = nn.conv2d where {draw(conditions()).replace('inside chain', 'users == 1')}"]
    lines += ["let chain = nn.conv2d -> nn.relu or nn.conv2d -> add"]
    lines += [f"skip {draw(selectors())}" for _ in range(draw(st.integers(0, 2)))]
    for number in range(draw(st.integers(1, 4))):
        lines += [f"rule r{number}", f"  match {draw(selectors())}", "  optional"]
        lines += [f"  skip {draw(selectors())}" for _ in range(draw(st.integers(0, 1)))]
        lines += [f"  {request}" for request in draw(st.lists(REQUESTS, min_size=1, max_size=2))]
    return "\n".join(lines) + "\n"
