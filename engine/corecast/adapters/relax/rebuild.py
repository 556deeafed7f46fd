"""An old `main` in, a new one out: binding by binding, with what replaces what, and nothing that nobody reads."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
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
    # Here and below: a slice of an array of TVM's asks for each element once, iteration three times.
    for block in function.body.blocks[:]:
        yield from block.bindings[:]


def reads(expr: Any) -> Iterator[Var]:
    """Every variable that an expression reads, once for each time that it stands there."""
    return (leaf for leaf in _leaves(expr) if isinstance(leaf, Var))


def _leaves(expr: Any) -> list[Var | GenericConst]:
    kind = type(expr)
    if _is_leaf(kind):
        return [expr]
    if kind is Call or kind is Tuple:
        found = []
        for part in (expr.args if kind is Call else expr.fields)[:]:
            if _is_leaf(type(part)):
                found.append(part)
            else:
                found += _leaves(part)
        return found
    if kind is TupleGetItem:
        return _leaves(expr.tuple_value)
    return list(relax.analysis.free_vars(expr)) if _has_bindings(kind) else []


# TVM's classes look through all their registered subclasses at each `isinstance`, and a model has few kinds of nodes.
_is_leaf: Callable[[Any], bool] = cache(lambda kind: issubclass(kind, Var | GenericConst))
_has_bindings: Callable[[Any], bool] = cache(lambda kind: issubclass(kind, relax.If | relax.SeqExpr | relax.Function))


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A binding with what it says, asked of TVM once: each question crosses into it, and a model has many bindings.

    `leaves` are the variables and constants that the value is made of, one for each time that it stands there.
    """

    binding: Binding
    var: Var
    value: Any
    leaves: Sequence[Var | GenericConst]

    @classmethod
    def of(cls, binding: Binding) -> Line:
        value = binding.value
        return cls(binding, binding.var, value, _leaves(value))


def is_straight(function: relax.Function) -> bool:
    """Whether the body can be one dataflow block: no branches, no inner functions, nothing impure."""
    return all(
        isinstance(block, relax.DataflowBlock) or not any(map(_is_opaque, block.bindings[:]))
        for block in function.body.blocks[:]
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

    `lines` are those of the old function, and `uses` says how often each variable is read in it. `keep` copies a line,
    `emit` adds a binding, `replace` says what stands for an old variable or constant from here on, `parameter` adds a
    parameter; `finish` drops what is never read and puts the rest into one dataflow block.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.lines = [Line.of(binding) for binding in bindings_of(model.main)]
        self.arrays: dict[Var, Array] = dict(zip(model.weights, model.parameters.values(), strict=True))
        self._made: list[Line] = []
        self._replaced: dict[Var | GenericConst, Any] = {}
        self._normalizer = relax.BlockBuilder(model.module)
        self._parameter_names = Names(var.name for var in model.main.params[:])

    def fresh(self, base: str) -> str:
        """A binding name that nothing else has; the name itself where it is free."""
        return self._names.fresh(base)

    @cached_property
    def uses(self) -> Counter[Var | GenericConst]:
        return Counter([leaf for line in self.lines for leaf in line.leaves] + list(reads(self.model.main.body.body)))

    @cached_property
    def _names(self) -> Names:
        return Names(line.var.name for line in self.lines)

    def new(self, expr: Any) -> Any:
        """The expression with every old variable replaced by what stands for it now."""
        return substitute(expr, self._replaced)

    def is_replaced(self, line: Line) -> bool:
        """Whether something else stands for a variable or a constant that a line reads."""
        return not self._replaced.keys().isdisjoint(line.leaves)

    def replace(self, leaf: Var | GenericConst, expr: Any) -> None:
        self._replaced[leaf] = expr

    def keep(self, line: Line) -> None:
        """The binding as it was, but for what its operands became."""
        if not self.is_replaced(line):
            self._made.append(line)
            return
        value, var = self.new(line.value), line.var
        if isinstance(line.binding, relax.MatchCast):
            self._made.append(Line.of(relax.MatchCast(var, value, line.binding.ty)))
            return
        value = self._normalizer.normalize(value)
        if not _is_same_type(value.ty, var.ty):
            var = relax.DataflowVar(var.name, value.ty)
            self.replace(line.var, var)
        self._made.append(Line.of(relax.VarBinding(var, value)))

    def emit(self, value: Any, name: str) -> Var:
        """A new binding of this name, which the caller knows to be free."""
        value = self._normalizer.normalize(value)
        var = relax.DataflowVar(name, value.ty)
        self._made.append(Line(relax.VarBinding(var, value), var, value, _leaves(value)))
        return var

    def parameter(self, array: Array, base: str, *, takes_name: bool = False) -> Var:
        """A new parameter, called `base` where that is free or where it takes over the name of one that goes away."""
        var = Var(base if takes_name else self._parameter_names.fresh(base), type_of(array))
        self.arrays[var] = array if array.flags.c_contiguous else np.ascontiguousarray(array)
        return var

    def finish(self, result: Any = None) -> Model:
        """The model with the new `main`, and the old result or another one; parameters stand in the order of their
        first use.
        """
        main = self.model.main
        straight = is_straight(main)
        output = self.new(main.body.body if result is None else result)
        live = _live(self._made, output)
        roots = set(reads(output)) if straight else {line.var for line in live}
        read = dict.fromkeys([leaf for line in live for leaf in line.leaves] + list(reads(output)))
        weights = [var for var in read if var in self.arrays]
        bindings, output = self._with_kinds(live, output, roots)
        block = relax.DataflowBlock(bindings) if straight else relax.BindingBlock(bindings)
        inputs = list(self.model.inputs)
        output = self._normalizer.normalize(output)
        body = self._normalizer.normalize(relax.SeqExpr([block] if bindings else [], output))
        function = relax.Function([*inputs, *weights], body, output.ty, main.is_pure, main.attrs)
        function = function.with_attr("num_input", len(inputs))
        return self.model.with_main(function, {var.name: self.arrays[var] for var in weights})

    def _with_kinds(self, lines: list[Line], output: Any, roots: set[Var]) -> tuple[list[Binding], Any]:
        """What leaves the dataflow block is a `Var`, all else a `DataflowVar`: ConvertLayout pins every `Var`."""
        replaced: dict[Var, Any] = {}
        result = []
        for line in lines:
            var, is_inner = line.var, line.var not in roots
            if isinstance(var, relax.DataflowVar) != is_inner:
                var = (relax.DataflowVar if is_inner else Var)(var.name, var.ty)
                replaced[line.var] = var
            elif replaced.keys().isdisjoint(line.leaves):
                result.append(line.binding)
                continue
            value = substitute(line.value, replaced)
            if isinstance(line.binding, relax.MatchCast):
                result.append(relax.MatchCast(var, value, line.binding.ty))
            else:
                result.append(relax.VarBinding(var, self._normalizer.normalize(value)))
        return result, substitute(output, replaced)


def renamed(function: relax.Function, replaced: dict[Any, Any], new: Sequence[Var] = ()) -> relax.Function:
    """The same function, block by block, with other variables for some of its own, and `new` parameters at its end.

    Constants may be replaced as well: by parameters of the same type.
    """
    normalizer = relax.BlockBuilder()
    blocks = []
    for block in function.body.blocks[:]:
        bindings = []
        for binding in block.bindings[:]:
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
    kind = type(expr)
    if _is_leaf(kind):
        return replaced.get(expr, expr)
    if kind is Call:
        old = expr.args[:]
        arguments = [substitute(argument, replaced) for argument in old]
        if _same(arguments, old):
            return expr
        # To infer a type again can take a millisecond; operands of the old types give the old one.
        ty = expr.ty if all(map(_is_alike, arguments, old)) else None
        return Call(expr.op, arguments, expr.attrs, expr.ty_args, expr.span, ty)
    if kind is Tuple:
        old = expr.fields[:]
        fields = [substitute(field, replaced) for field in old]
        return expr if _same(fields, old) else Tuple(fields)
    if kind is TupleGetItem:
        whole = expr.tuple_value
        value = substitute(whole, replaced)
        return expr if value is whole else TupleGetItem(value, expr.index)
    if _has_bindings(kind) and any(var in replaced for var in reads(expr)):
        return _Substitute(replaced).visit_expr(expr)
    return expr


def _same(new: list[Any], old: list[Any]) -> bool:
    return all(map(operator.is_, new, old))


def _is_alike(new: Any, old: Any) -> bool:
    return new is old or (_is_leaf(type(new)) and _is_same_type(new.ty, old.ty))


def _is_same_type(one: Any, other: Any) -> bool:
    return bool(one.same_as(other) or structural_equal(one, other))


@relax.expr_functor.mutator
class _Substitute(relax.PyExprMutator):  # type: ignore[misc]
    """Replaces variables inside branches and inner functions, which this module otherwise leaves alone."""

    def __init__(self, replaced: Mapping[Any, Any]) -> None:
        super().__init__()
        self._replaced = replaced

    def visit_var_(self, var: Var) -> Any:
        return self._replaced.get(var, var)

    visit_dataflow_var_ = visit_var_


def _live(lines: list[Line], output: Any) -> list[Line]:
    read: set[Any] = set(reads(output))
    live = []
    for line in reversed(lines):
        # A match cast is kept even if nobody reads it: it binds the names of dynamic sizes.
        if line.var in read or isinstance(line.binding, relax.MatchCast) or _is_opaque(line.binding):
            read.update(line.leaves)
            live.append(line)
    return live[::-1]
