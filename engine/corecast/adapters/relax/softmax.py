"""A model in, the same model cut before its trailing softmax out.

A comparison behind a softmax is blind: with random weights it saturates, and another network gives the same answer.
"""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.ir import Call, Var

from corecast.adapters.relax.model import Model
from corecast.adapters.relax.rebuild import bindings_of

_SOFTMAX = tuple(tvm.ir.Op.get(name) for name in ("relax.nn.softmax", "relax.nn.log_softmax"))
_RESHAPING = tuple(
    tvm.ir.Op.get(f"relax.{name}")
    for name in ("reshape", "flatten", "squeeze", "expand_dims", "permute_dims", "astype")
)


def before_softmax(model: Model) -> Model | None:
    """The model that returns what a trailing softmax (and reshapes behind it) reads; None where it has none."""
    main = model.main
    values = {binding.var: binding.value for binding in bindings_of(main)}
    result = main.body.body
    while isinstance(result, Var) and isinstance(call := values.get(result), Call | Var):
        if isinstance(call, Var):
            result = call
        elif call.op in _SOFTMAX:
            return _returning(model, call.args[0])
        elif call.op in _RESHAPING:
            result = call.args[0]
        else:
            break
    return None


def _returning(model: Model, result: Var) -> Model:
    """The model with another result, taken from inside its dataflow block."""
    main = model.main
    kept = []
    out = result
    for binding in bindings_of(main):
        if binding.var == result:
            # What leaves a dataflow block is no DataflowVar.
            out = Var(result.name, result.ty)
            kept.append(relax.VarBinding(out, binding.value))
            break
        kept.append(binding)
    body = relax.SeqExpr([relax.DataflowBlock(kept)] if kept else [], out)
    return model.with_main(relax.Function(main.params, body, out.ty, main.is_pure, main.attrs), model.parameters)
