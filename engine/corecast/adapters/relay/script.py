"""Converts a Relay module.

It needs a TVM that has Relay (0.8 to 0.19) and nothing else. Import `convert` from this file, or run it on a module
that `tvm.ir.save_json` has written:

    python THIS_FILE.py module.json converted.json
"""

# mypy: ignore-errors

import sys
from collections import Counter

import tvm
from tvm import relay

# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# Calls are numbered by operator, from 0, in forward post order: arguments first, left to right, each call once.

# Operator, numbers, the dtype that its operands are cast to, the dtype that it computes in.
RECAST: list[tuple[str, list[int], str, str]] = []

# Operator, numbers, data layout, kernel layout. Every other convolution keeps its own.
CONVERT: list[tuple[str, list[int], str, str]] = []

# The weights of these layers in the module that was planned for; another module is refused.
WEIGHTS: dict[str, dict[int, str]] = {}

# ── how it is carried out ────────────────────────────────────────────────────────────────────────────────────────────


def convert(module):
    """The converted module: dtypes first, then layouts."""
    module = recast(relay.transform.InferType()(module))
    return convert_layouts(module) if CONVERT else module


class Layers(relay.ExprVisitor):
    """Numbers the calls of a function; functions inside it are not entered."""

    def __init__(self, main):
        super().__init__()
        self.found = {}  # (operator, number) -> call
        self.seen = Counter()
        self.visit(main.body)

    def visit_function(self, function):
        pass

    def visit_call(self, call):
        super().visit_call(call)
        if isinstance(call.op, tvm.ir.Op):
            self.found[call.op.name, self.seen[call.op.name]] = call
            self.seen[call.op.name] += 1


def layers_of(main):
    """The calls by operator and number. Raises `ValueError` where the plan was made for another module."""
    found = Layers(main).found
    for op, weights in WEIGHTS.items():
        for number, weight in weights.items():
            if (op, number) not in found or weight not in names_read(found[op, number]):
                raise ValueError(f"this script is for another module: {op} #{number} should read {weight}")
    return found


def names_read(call):
    """The names of the variables that a call reads as they are, or in another form (cast, transposed)."""
    names = []
    for expr in call.args:
        while isinstance(expr, relay.Call) and isinstance(expr.op, tvm.ir.Op) and len(expr.args) == 1:
            expr = expr.args[0]
        names.append(getattr(expr, "name_hint", None))
    return names


class Recast(relay.ExprMutator):
    """Casts the operands of planned calls, and casts their results back. Equal casts are shared."""

    def __init__(self, planned):
        super().__init__()
        self.planned = planned  # call -> (dtype, out_dtype)
        self.casts = {}
        self.computed = {}  # a result cast back -> the result as it was computed, and its dtype

    def visit_call(self, call):
        rebuilt = super().visit_call(call)
        if call not in self.planned:
            return rebuilt
        dtype, out_dtype = self.planned[call]
        args = [self.cast(new, old.checked_type, dtype) for new, old in zip(rebuilt.args, call.args)]  # noqa: B905
        attributes = call.attrs
        if attributes is not None and "out_dtype" in attributes.keys():  # noqa: SIM118
            fields = {str(key): attributes[key] for key in attributes.keys()}  # noqa: SIM118
            fields["out_dtype"] = out_dtype
            attributes = tvm.ir.make_node(f"relay.attrs.{type(attributes).__name__}", **fields)
        else:
            out_dtype = dtype
        result = relay.Call(call.op, args, attributes, call.type_args, call.span)
        original = call.checked_type.dtype
        if out_dtype == original:
            return result
        back = relay.cast(result, original)
        self.computed[back] = (result, out_dtype)
        return back

    def cast(self, new, old_type, dtype):
        if isinstance(old_type, relay.TupleType):
            count = len(old_type.fields)
            fields = (
                new.fields
                if isinstance(new, relay.Tuple)
                else [relay.TupleGetItem(new, index) for index in range(count)]
            )
            return relay.Tuple([self.cast(fields[index], old_type.fields[index], dtype) for index in range(count)])
        if old_type.dtype == dtype:
            return new
        result, computed = self.computed.get(new, (None, None))
        if computed == dtype and is_lossless(dtype, old_type.dtype):
            return result
        if (new, dtype) not in self.casts:
            self.casts[new, dtype] = relay.cast(new, dtype)
        return self.casts[new, dtype]


def is_lossless(dtype, wider):
    """Whether every value of `dtype` is one of `wider`."""
    kinds = dtype.rstrip("0123456789"), wider.rstrip("0123456789")
    bits = [int(name[len(kind) :] or 8) for name, kind in zip((dtype, wider), kinds)]  # noqa: B905
    if kinds == ("bfloat", "float"):
        return bits[1] >= 32
    return kinds[0] == kinds[1] and bits[1] >= bits[0]


def recast(module):
    main = module["main"]
    layers = layers_of(main)
    planned = {layers[op, number]: to for op, numbers, *to in RECAST for number in numbers}
    return relay.transform.InferType()(with_main(module, Recast(planned).visit(main)))


def convert_layouts(module):
    original = module
    # Relay's pass converts every function of a module, and counts the convolutions of all of them together.
    module = tvm.IRModule({module.get_global_var("main"): module["main"], **set_aside(module)})
    module = relay.transform.CanonicalizeOps()(relay.transform.InferType()(module))
    for op, numbers, data, kernel in CONVERT:
        module = relay.transform.InferType()(module)
        with relay.transform.LayoutConfig(skip_layers=skip_layers(module["main"], op, numbers)):
            module = relay.transform.ConvertLayout({op: [data, kernel]})(module)
    return with_main(original, relay.transform.InferType()(module)["main"])


def skip_layers(main, op, numbers):
    """What LayoutConfig will count to at each convolution that is not one of these."""
    found = Layers(main).found
    chosen = {found[op, number] for number in numbers}
    if op != "nn.conv2d":
        assert len(chosen) == sum(name == op for name, _ in found), f"ConvertLayout converts every {op} or none"
        return []
    visited = []
    relay.analysis.post_order_visit(main, visited.append)
    convolutions = [node for node in visited if isinstance(node, relay.Call) and node.op == tvm.ir.Op.get("nn.conv2d")]
    return [place for place, call in enumerate(convolutions) if call not in chosen]


def set_aside(module):
    """The other functions, marked so that Relay's passes leave them alone."""
    mark = tvm.tir.IntImm("int32", 1)
    return {
        var: function.with_attr("SkipOptimization", mark) if isinstance(function, relay.Function) else function
        for var, function in module.functions.items()
        if var.name_hint != "main"
    }


def with_main(module, main):
    """The module with another `main`; everything else in it stays."""
    result = relay.transform.InferType()(module)  # a copy
    for var, function in module.functions.items():
        result.update_func(var, main if var.name_hint == "main" else function)
    return result


if __name__ == "__main__":
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        converted = convert(tvm.ir.load_json(file.read()))
    with open(target, "w", encoding="utf-8") as file:
        file.write(tvm.ir.save_json(converted))
