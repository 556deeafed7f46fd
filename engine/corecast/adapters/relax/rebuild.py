"""An old `main` in, a new one out: binding by binding, with what replaces what, and nothing that nobody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from tvm import relax
from tvm.ir import Call, GenericConst, Tuple, TupleGetItem, Var
from tvm_ffi import structural_equal

from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.tensors import type_of

Binding: TypeAlias = relax.Binding


def bindings_of(function: relax.Function) -> Iterator[Binding]:
    """The bindings of a function's body in order, whatever blocks they stand in."""
    for block in function.body.blocks:
        yield from block.bindings


def reads(expr: Any) -> Iterator[Var]:
    """Every variable that an expression reads, once for each time that it stands there."""
    if isinstance(expr, Var):
        yield expr
    elif isinstance(expr, Call):
        for argument in expr.args:
            yield from reads(argument)
    elif isinstance(expr, Tuple):
        for field in expr.fields:
            yield from reads(field)
    elif isinstance(expr, TupleGetItem):
        yield from reads(expr.tuple_value)
    elif isinstance(expr, relax.If | relax.SeqExpr | relax.Function):
        yield from relax.analysis.free_vars(expr)


def uses_of(function: relax.Function) -> Counter[Var]:
    """How often each variable is read, by bindings and by the function's result."""
    uses: Counter[Var] = Counter()
    for binding in bindings_of(function):
        uses.update(reads(binding.value))
    uses.update(reads(function.body.body))
    return uses


def is_straight(function: relax.Function) -> bool:
    """Whether the body can be one dataflow block: no branches, no inner functions, nothing impure."""
    return all(
        isinstance(block, relax.DataflowBlock) or not any(map(_is_opaque, block.bindings))
        for block in function.body.blocks
    )


def _is_opaque(binding: Binding) -> bool:
    value = binding.value
    if isinstance(value, Call):
        return relax.analysis.contains_impure_call(value) if hasattr(value.op, "name") else True
    return isinstance(value, relax.If | relax.SeqExpr | relax.Function)


class Names:
    """The names taken in one function, and fresh ones: `conv`, `conv_1`, `conv_2`."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: Counter[str] = Counter()

    def fresh(self, base: str) -> str:
        name = base
        while name in self._taken:
            self._next[base] += 1
            name = f"{base}_{self._next[base]}"
        self._taken.add(name)
        return name


class Rebuild:
    """A new `main` in the making.

    `keep` copies a binding of the old function, `emit` adds one, `replace` says what stands for an old variable from
    here on, `parameter` adds a parameter; `finish` drops what is never read and puts the rest into one dataflow block.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.uses = uses_of(model.main)
        self.arrays: dict[Var, Array] = dict(zip(model.weights, model.parameters.values(), strict=True))
        self._bindings: list[Binding] = []
        self._replaced: dict[Var, Any] = {}
        self._normalizer = relax.BlockBuilder(model.module)
        self._names = Names(binding.var.name for binding in bindings_of(model.main))
        self._parameter_names = Names(var.name for var in model.main.params)

    def fresh(self, base: str) -> str:
        """A binding name that nothing else has; the name itself where it is free."""
        return self._names.fresh(base)

    def new(self, expr: Any) -> Any:
        """The expression with every old variable replaced by what stands for it now."""
        return substitute(expr, self._replaced)

    def replace(self, var: Var, expr: Any) -> None:
        self._replaced[var] = expr

    def keep(self, binding: Binding) -> None:
        """The binding as it was, but for what its operands became."""
        old = binding.value
        value = self.new(old)
        if value is old:
            self._bindings.append(binding)
        elif isinstance(binding, relax.MatchCast):
            self._bindings.append(relax.MatchCast(binding.var, value, binding.ty))
        else:
            value = self._normalizer.normalize(value)
            same = structural_equal(value.ty, binding.var.ty)
            var = binding.var if same else relax.DataflowVar(binding.var.name, value.ty)
            if not same:
                self.replace(binding.var, var)
            self._bindings.append(relax.VarBinding(var, value))

    def emit(self, value: Any, name: str) -> Var:
        """A new binding of this name, which the caller knows to be free."""
        value = self._normalizer.normalize(value)
        var = relax.DataflowVar(name, value.ty)
        self._bindings.append(relax.VarBinding(var, value))
        return var

    def parameter(self, array: Array, base: str, *, takes_name: bool = False) -> Var:
        """A new parameter, called `base` where that is free or where it takes over the name of one that goes away."""
        var = Var(base if takes_name else self._parameter_names.fresh(base), type_of(array))
        self.arrays[var] = array if array.flags.c_contiguous else np.ascontiguousarray(array)
        return var

    def finish(self) -> Model:
        """The model with the new `main`; parameters stand in the order of their first use."""
        main = self.model.main
        straight = is_straight(main)
        output = self.new(main.body.body)
        live = _live(self._bindings, output)
        roots = set(reads(output)) if straight else {binding.var for binding in live}
        live, output = self._with_kinds(live, output, roots)
        weights = self._first_uses(live, output)
        block = relax.DataflowBlock(live) if straight else relax.BindingBlock(live)
        inputs = list(self.model.inputs)
        output = self._normalizer.normalize(output)
        body = self._normalizer.normalize(relax.SeqExpr([block] if live else [], output))
        function = relax.Function([*inputs, *weights], body, output.ty, main.is_pure, main.attrs)
        function = function.with_attr("num_input", len(inputs))
        return self.model.with_main(function, {var.name: self.arrays[var] for var in weights})

    def _with_kinds(self, bindings: list[Binding], output: Any, roots: set[Var]) -> tuple[list[Binding], Any]:
        """What leaves the dataflow block is a `Var`, all else a `DataflowVar`: ConvertLayout pins every `Var`."""
        replaced: dict[Var, Any] = {}
        result = []
        for binding in bindings:
            old, var = binding.value, binding.var
            value = substitute(old, replaced)
            is_inner = var not in roots
            if isinstance(var, relax.DataflowVar) != is_inner:
                var = (relax.DataflowVar if is_inner else Var)(var.name, var.ty)
                replaced[binding.var] = var
            if value is old and binding.var not in replaced:
                result.append(binding)
            elif isinstance(binding, relax.MatchCast):
                result.append(relax.MatchCast(var, value, binding.ty))
            else:
                result.append(relax.VarBinding(var, self._normalizer.normalize(value)))
        return result, substitute(output, replaced)

    def _first_uses(self, live: list[Binding], output: Any) -> list[Var]:
        order: dict[Var, None] = {}
        for expr in [*(binding.value for binding in live), output]:
            order.update((var, None) for var in reads(expr) if var in self.arrays)
        return list(order)


def renamed(function: relax.Function, replaced: dict[Any, Any], new: Sequence[Var] = ()) -> relax.Function:
    """The same function, block by block, with other variables for some of its own, and `new` parameters at its end.

    Constants may be replaced as well: by parameters of the same type.
    """
    normalizer = relax.BlockBuilder()
    blocks = []
    for block in function.body.blocks:
        bindings = []
        for binding in block.bindings:
            value = normalizer.normalize(substitute(binding.value, replaced))
            var = replaced.get(binding.var, binding.var)
            if isinstance(binding, relax.MatchCast):
                bindings.append(relax.MatchCast(var, value, binding.ty))
            else:
                bindings.append(relax.VarBinding(var, value))
        blocks.append(type(block)(bindings))
    body = normalizer.normalize(relax.SeqExpr(blocks, substitute(function.body.body, replaced)))
    return relax.Function([*function.params, *new], body, function.ret_ty, function.is_pure, function.attrs)


def substitute(expr: Any, replaced: Mapping[Any, Any]) -> Any:
    """The expression with variables and constants replaced; the very same object where nothing changed."""
    if isinstance(expr, Var | GenericConst):
        return replaced.get(expr, expr)
    if isinstance(expr, Call):
        arguments = [substitute(argument, replaced) for argument in expr.args]
        if _same(arguments, expr.args):
            return expr
        return Call(expr.op, arguments, expr.attrs, expr.ty_args, expr.span)
    if isinstance(expr, Tuple):
        fields = [substitute(field, replaced) for field in expr.fields]
        return expr if _same(fields, expr.fields) else Tuple(fields)
    if isinstance(expr, TupleGetItem):
        old = expr.tuple_value
        value = substitute(old, replaced)
        return expr if value is old else TupleGetItem(value, expr.index)
    if isinstance(expr, relax.If | relax.SeqExpr | relax.Function) and any(var in replaced for var in reads(expr)):
        return _Substitute(replaced).visit_expr(expr)
    return expr


def _same(new: list[Any], old: Any) -> bool:
    return all(left.same_as(right) for left, right in zip(new, old, strict=True))


@relax.expr_functor.mutator
class _Substitute(relax.PyExprMutator):  # type: ignore[misc]
    """Replaces variables inside branches and inner functions, which this module otherwise leaves alone."""

    def __init__(self, replaced: Mapping[Any, Any]) -> None:
        super().__init__()
        self._replaced = replaced

    def visit_var_(self, var: Var) -> Any:
        return self._replaced.get(var, var)

    visit_dataflow_var_ = visit_var_


def _live(bindings: list[Binding], output: Any) -> list[Binding]:
    read = set(reads(output))
    live = []
    for binding in reversed(bindings):
        # A match cast is kept even if nobody reads it: it binds the names of dynamic sizes.
        if binding.var in read or isinstance(binding, relax.MatchCast) or _is_opaque(binding):
            read.update(reads(binding.value))
            live.append(binding)
    return live[::-1]
