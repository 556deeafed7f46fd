"""A seed in, a random network out: moves are drawn one after another, and each adds a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tvm import relax, tirx

from fuzz.network import DYNAMIC, Network, Shape, Step, Tensor, expression, leaves

# A value of more elements is not grown from: running it would take longer than it is worth.
MOST_ELEMENTS = 1500


@dataclass(frozen=True)
class Value:
    """A tensor of the network in the making."""

    name: str
    shape: Shape
    dtype: str

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return "float" in self.dtype

    def sizes(self) -> tuple[int, ...]:
        """The shape with dynamic sizes as they will be when the network is run."""
        return tuple(DYNAMIC.get(size, size) for size in self.shape)

    def elements(self) -> int:
        result = 1
        for size in self.sizes():
            result *= size
        return result


Move = Callable[["Growth", Value], Any]
MOVES: list[tuple[float, Move]] = []


def move(weight: float) -> Callable[[Move], Move]:
    """Register a move that is drawn with this weight. It may do nothing where the value does not suit it."""

    def register(function: Move) -> Move:
        MOVES.append((weight, function))
        return function

    return register


class Growth:
    """What has grown so far; moves draw from `random`, look at `values` and call `add` and `weight`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.arguments: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.steps: list[Step] = []
        self.values: list[Value] = []
        self.is_dynamic = self.random.random() < 0.08
        self.dtype = "float16" if self.random.random() < 0.05 else "float32"
        self.names = self.random.choice(["operators", "operators", "lv", "same", "nodes"])
        self.constants = self.random.choice([0.0, 0.0, 0.5, 1.0])
        self._made: dict[str, Any] = {}
        self._sizes = {name: tirx.Var(name, "int64") for name in DYNAMIC}
        self._normalizer = relax.BlockBuilder()

    # ── what moves use ───────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, op: str, *operands: Any, **attributes: Any) -> Value | None:
        """Add a step; None where TVM's own type inference does not take it. Values may be given for their names."""
        step = Step(self._name(op), op, tuple(_named(operand) for operand in operands), attributes)
        try:
            value = self._normalizer.normalize(expression(step, self._made, self._sizes))
        except Exception:
            return None
        if any(min(sizes, default=1) < 1 for sizes in _sizes(value.ty)):
            return None  # TVM takes a kernel that is larger than its data
        if not _is_shaped(value.ty):
            return None  # nor does it know whether sizes fit that have names
        self.steps.append(step)
        var = relax.DataflowVar(step.name, value.ty)
        self._made[step.name] = var
        made = self._value(step.name, value.ty)
        if made is not None:
            self.values.append(made)
        return made

    def items(self, op: str, *operands: Any, **attributes: Any) -> list[Value]:
        """Add a step with a tuple for a result, and one step for each of its fields."""
        before = len(self.steps)
        self.add(op, *operands, **attributes)
        if len(self.steps) == before:
            return []
        name = self.steps[-1].name
        fields = self._made[name].ty.fields
        return [item for index in range(len(fields)) if (item := self.add("item", name, index=index)) is not None]

    def weight(self, *shape: int | str, dtype: str | None = None, role: str = "weight") -> str:
        """A weight of this shape, one in place of a dynamic size: now and then one that is there already."""
        shape = tuple(1 if isinstance(size, str) else size for size in shape)
        dtype = dtype or self.dtype
        tensor = Tensor(shape, dtype, self.random.random() < self.constants, role)
        fitting = [
            name for name, old in self.weights.items() if (old.shape, old.role, old.dtype) == (shape, role, dtype)
        ]
        if fitting and self.random.random() < 0.3:
            return self.random.choice(fitting)
        name = f"w{len(self.weights)}"
        self.weights[name] = tensor
        self._made[name] = relax.Var(name, relax.TensorType(list(shape), dtype))
        return name

    def argument(self, *shape: int | str, dtype: str | None = None, role: str = "weight") -> Value:
        name = f"x{len(self.arguments)}"
        dtype = dtype or self.dtype
        self.arguments[name] = Tensor(tuple(shape), dtype, role=role)
        sizes = [self._sizes.get(size, size) for size in shape]
        self._made[name] = relax.Var(name, relax.TensorType(sizes, dtype))
        self.values.append(Value(name, tuple(shape), dtype))
        return self.values[-1]

    def others(self, fits: Callable[[Value], bool]) -> list[Value]:
        """The values that fit a condition."""
        return [value for value in self.values if fits(value)]

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def choice(self, *options: Any) -> Any:
        return self.random.choice(options)

    # ── growing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def grow(self) -> Network:
        """Draw arguments, moves and results."""
        for _ in range(self.choice(1, 1, 1, 2)):
            self._seed_value()
        weights, moves = zip(*MOVES, strict=True)
        if self.chance(0.8):
            next(made for made in moves if made.__name__ == "convolution")(self, self.values[0])
        for _ in range(self.random.choice([2, 4, 6, 8, 10, 12, 16])):
            source = self._source()
            if source is not None:
                self.random.choices(moves, weights)[0](self, source)
        returns = self._returns()
        return Network(
            arguments=self.arguments,
            weights=self._used(returns),
            steps=tuple(self.steps),
            returns=returns,
            is_dataflow=self.chance(0.9),
        )

    def _seed_value(self) -> None:
        batch = "n" if self.is_dynamic else self.choice(1, 1, 2, 3)
        channels = self.choice(1, 2, 3, 4, 4, 5, 6, 8)
        rank = self.random.choices([2, 3, 4, 5], [1, 2, 8, 1])[0]
        space = [self.random.randint(2, 9 if rank < 5 else 5) for _ in range(rank - 2)]
        order = [batch, channels, *space] if self.chance(0.9) else [batch, *space, channels]
        if self.chance(0.03):
            words = self.argument(batch, self.random.randint(1, 5), dtype="int64", role="index")
            self.add("take", self.weight(3, channels), words, axis=0)
        else:
            self.argument(*order)

    def _source(self) -> Value | None:
        """One of the latest values most of the time."""
        recent = self.values[-3:] if self.chance(0.8) else self.values
        fitting = [value for value in recent if 0 < value.elements() <= MOST_ELEMENTS]
        return self.random.choice(fitting) if fitting else None

    def _returns(self) -> Any:
        """The last value, most of what nobody reads, and now and then inner values, arguments, one twice, in tuples."""
        read = {name for step in self.steps for name in read_names(step.operands)}
        ends = [step.name for step in self.steps if step.name not in read and self.chance(0.7)]
        names = list(
            dict.fromkeys([self.values[-1].name, *(value.name for value in self.values if value.name in ends)])
        )
        while self.chance(0.2):
            names.append(self.random.choice(self.values).name)
        if self.weights and self.chance(0.02):
            names.append(self.random.choice(list(self.weights)))
        if len(names) == 1:
            return names[0] if self.chance(0.95) else (names[0],)
        return (names[0], tuple(names[1:])) if self.chance(0.15) else tuple(names)

    def _used(self, returns: Any) -> dict[str, Tensor]:
        read = {name for step in self.steps for name in read_names(step.operands)} | set(leaves(returns))
        return {name: tensor for name, tensor in self.weights.items() if name in read}

    def _name(self, op: str) -> str:
        number = len(self.steps)
        return {
            "operators": f"{op.rpartition('.')[2]}_{number}",
            "lv": f"lv{number or ''}",
            "same": f"lv~{number}",
            "nodes": f"/block.{number // 3}/{op.rpartition('.')[2]}_{number}",
        }[self.names]

    def _value(self, name: str, ty: Any) -> Value | None:
        """None for a tuple, and for a tensor with sizes that are neither numbers nor names."""
        if not isinstance(ty, relax.TensorType) or not isinstance(ty.shape, relax.ShapeExpr):
            return None
        names = {var: name for name, var in self._sizes.items()}
        sizes = [int(size) if isinstance(size, tirx.IntImm) else names.get(size) for size in ty.shape.values]
        return None if None in sizes else Value(name, tuple(sizes), str(ty.dtype))


def _is_shaped(ty: Any) -> bool:
    """Whether the sizes of a tensor, or of all in a tuple, are known, by name at least."""
    if isinstance(ty, relax.TupleType):
        return all(map(_is_shaped, ty.fields))
    return not isinstance(ty, relax.TensorType) or isinstance(ty.shape, relax.ShapeExpr)


def _sizes(ty: Any) -> list[list[int]]:
    """The sizes that are numbers, for each tensor of a type."""
    if isinstance(ty, relax.TupleType):
        return [sizes for field in ty.fields for sizes in _sizes(field)]
    shape = ty.shape.values if isinstance(getattr(ty, "shape", None), relax.ShapeExpr) else []
    return [[int(size) for size in shape if isinstance(size, tirx.IntImm)]]


def _named(operand: Any) -> Any:
    if isinstance(operand, tuple | list):
        return tuple(_named(part) for part in operand)
    return operand.name if isinstance(operand, Value) else operand


def read_names(operand: Any) -> list[str]:
    if isinstance(operand, tuple):
        return [name for part in operand for name in read_names(part)]
    return [operand] if isinstance(operand, str) else []


def grow(seed: int) -> Network:
    """The network of a seed."""
    from fuzz import moves, moves_of_axes, moves_of_places  # noqa: F401 (they register their moves)

    return Growth(seed).grow()
