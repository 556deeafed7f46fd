"""One recipe's job by TVM's own means: a layout by `ConvertLayout`, a dtype by pattern rewriter and by mutator."""

from __future__ import annotations

from tvm import relax
from tvm.ir import Call, IRModule, Op
from tvm.relax.dpl import is_op, rewrite_call, wildcard

_CONV = Op.get("relax.nn.conv2d")


def convert_layout(module: IRModule) -> IRModule:
    """`match nn.conv2d, set layout NHWC`."""
    return relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "OHWI"]})(module)


def _recast(call: Call, data: relax.Expr, weight: relax.Expr) -> relax.Expr:
    """`cast float16 -> float32`: the operands are cast, the sums are in float32."""
    attributes = call.attrs
    return relax.op.nn.conv2d(
        relax.op.astype(data, "float16"),
        relax.op.astype(weight, "float16"),
        attributes.strides,
        attributes.padding,
        attributes.dilation,
        attributes.groups,
        attributes.data_layout,
        attributes.kernel_layout,
        attributes.out_layout,
        "float32",
    )


def rewrite_by_pattern(module: IRModule) -> IRModule:
    """`match nn.conv2d, cast float16` with `tvm.relax.dpl`."""
    data, weight = wildcard(), wildcard()
    pattern = is_op("relax.nn.conv2d")(data, weight)

    def rewriter(call: Call, matches: dict) -> relax.Expr:
        # The pattern matches what it has made, and would be tried on that for ever.
        if str(call.args[0].ty.dtype) == "float16":
            return call
        return _recast(call, matches[data], matches[weight])

    result = module.clone()
    result.update_func(result.get_global_var("main"), rewrite_call(pattern, rewriter, module["main"]))
    return result


@relax.expr_functor.mutator
class _Mutator(relax.PyExprMutator):
    def visit_call_(self, call: Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        return _recast(call, *call.args) if call.op == _CONV else call


def rewrite_by_mutator(module: IRModule) -> IRModule:
    """`match nn.conv2d, cast float16` with a visitor written for it."""
    mutator = _Mutator(module)
    mutator.builder_.update_func(module.get_global_var("main"), mutator.visit_expr(module["main"]))
    return mutator.builder_.finalize()
