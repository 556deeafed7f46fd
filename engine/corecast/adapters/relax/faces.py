"""A value and an order of its axes in, the expression that has it so out, transposed on first demand.

Each value of a function has a face that its layer makes, and one for every other order in which it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tvm import relax
from tvm.ir import GenericConst, Tuple, TupleGetItem, Var

from corecast.adapters.relax.rebuild import Rebuild
from corecast.adapters.relax.tensors import permuted
from corecast.model import LayerTable
from corecast.model.orders import Order, in_memory, transposing, unchanged
from corecast.plan.carry import Carried, Read, Value


class Faces:
    """The faces of the values of one function, which `rebuild` makes anew.

    A transpose of the model's own keeps its name; the others are called after what they transpose. `views` has the
    names of the other calls that were added, which would count as layers.
    """

    def __init__(self, rebuild: Rebuild, table: LayerTable, carried: Carried, layers: Iterable[Var]) -> None:
        self.views: set[str] = set()
        self._rebuild = rebuild
        self._table = table
        self._vars: dict[int | str, Var] = {var.name: var for var in rebuild.model.main.params}
        self._vars.update(enumerate(layers))
        self._runs = carried.runs
        self._faces: dict[Value, dict[Order, Any]] = {}
        self._others: dict[Any, Any] = {}
        self._returned = {read.value for read in carried.reads.get(len(table.layers), ()) if read}
        self._own = {
            (transpose.value, in_memory(transpose.order, self._shape(transpose.value))): transpose.own
            for transpose in carried.transposes
            if transpose.own is not None
        }

    def add(self, value: Value, order: Order, expr: Any) -> None:
        """This expression of the new function is the value in this order."""
        self._known(value, len(order)).setdefault(order, expr)

    def has(self, value: Value, order: Order) -> bool:
        """Whether a value is there with its elements as in this order, so that no transpose is needed for it."""
        faces = (self._made(value) or unchanged(len(order)), *self._faces.get(value, ()))
        return any(self._lies(value, face) == self._lies(value, order) for face in faces)

    def face(self, value: Value, order: Order) -> Any:
        """The value in this order."""
        faces = self._known(value, len(order))
        if order not in faces:
            faces[order] = self._turned(value, faces, order)
        return faces[order]

    def _known(self, value: Value, rank: int) -> dict[Order, Any]:
        """The faces of a value so far, as it is made first."""
        if value not in self._faces:
            made = self._rebuild.new(self._vars[value[0]])
            self._faces[value] = {self._made(value) or unchanged(rank): self.item(made, value[1])}
        return self._faces[value]

    def read(self, expr: Any, read: Read) -> Any:
        """What becomes of an operand that is read otherwise than it stands; `expr` is it as it stands, if a weight."""
        found = self.face(read.value, read.order) if read.value else self._weight(expr, read.order)
        if not read.expand:
            return found
        expanded = self._once(found, "expanded", relax.op.expand_dims, list(read.expand))
        self.views.add(expanded.name)
        return expanded

    def _weight(self, expr: Any, order: Order) -> Any:
        if order == unchanged(len(order)):
            return expr
        return self._once(expr, "transposed", relax.op.permute_dims, list(order))

    def _once(self, expr: Any, what: str, call: Any, argument: list[int]) -> Any:
        """One call for all who ask for the same."""
        key = (expr, what, tuple(argument))
        if key not in self._others:
            name = "constant" if isinstance(expr, GenericConst) else expr.name
            self._others[key] = self._rebuild.emit(call(expr, argument), self._rebuild.fresh(f"{name}_{what}"))
        return self._others[key]

    def _turned(self, value: Value, faces: dict[Order, Any], order: Order) -> Any:
        """A new face: a reshape where only axes of size one move, or else a transpose of the first."""
        lies = self._lies(value, order)
        for have, face in faces.items():
            if self._lies(value, have) == lies:
                shape = permuted(face.ty, transposing(have, order)).shape
                view = self._rebuild.emit(relax.op.reshape(face, shape), self._rebuild.fresh(f"{face.name}_reshaped"))
                self.views.add(view.name)
                return view
        have, face = next(iter(faces.items()))
        own = self._own.get((value, lies))
        if own is not None and (source := self._table.layers[own].source):
            name = source
        else:
            leaves = value in self._returned and order == unchanged(len(order))
            name = self._rebuild.fresh(f"{face.name}_{'result' if leaves else 'transposed'}")
        return self._rebuild.emit(relax.op.permute_dims(face, list(transposing(have, order))), name)

    def _made(self, value: Value) -> Order | None:
        """The order in which a value is made; None for the model's."""
        layer, place = value
        run = self._runs.get(layer) if isinstance(layer, int) else None
        return run.results[place] if run else None

    def _lies(self, value: Value, order: Order) -> Order:
        return in_memory(order, self._shape(value))

    def _shape(self, value: Value) -> tuple[int | str, ...]:
        layer, place = value
        types = self._table.layers[layer].results[place] if isinstance(layer, int) else self._table.arguments[layer]
        return types.shape or ()

    def item(self, expr: Any, place: int) -> Any:
        """A tensor of an expression of the new function, which may be a tuple of them."""
        if isinstance(expr, Tuple):
            return expr.fields[place]
        if not isinstance(expr.ty, relax.TupleType):
            return expr
        key = (expr, place)
        if key not in self._others:
            name = self._rebuild.fresh(f"{expr.name}_{place}")
            self._others[key] = self._rebuild.emit(TupleGetItem(expr, place), name)
        return self._others[key]
