"""A folder of arrays, or anything that gives them, in; batches that the model takes out.

A file or an item is a sample or a batch of them; which one it is, its shape says. An array of the model's own shape is
run as it stands. One that lacks the first axis is a sample, one with another first size is so many samples: they are
gathered until they fill the model's batch. A last batch that they do not fill repeats its own samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from corecast.lang.problems import Problem
from corecast.model import TensorType
from corecast.quantization.files import Array, DataError, files_in, read_arrays, read_types

Item: TypeAlias = Array | Mapping[str, Array]
Source: TypeAlias = str | Path | Iterable[Item]
Types: TypeAlias = Mapping[str, TensorType]
_T = TypeVar("_T")

# Where the model leaves its batch open, more samples than these are run in parts.
MOST_TOGETHER = 32


@dataclass(frozen=True)
class Batch:
    """What the model is run on once.

    Attributes:
        inputs: by name, in the model's order.
        samples: how many it holds, what it repeats left out.
        place: the file or the item that its last sample is from.
    """

    inputs: dict[str, Array]
    samples: int
    place: str


class Data:
    """Where the batches for a model come from.

    Attributes:
        samples: how many samples there are, where that is known before they are read.
    """

    def __init__(self, source: Source, types: Types) -> None:
        """Look at the files of a folder, or take any iterable of arrays (for a model of one input) or of dictionaries.

        Args:
            source: a folder of `.npy` files (for a model of one input) and `.npz` files, one such file, or an iterable.
            types: what the model takes, by name.

        Raises:
            DataError: where a folder is not there or holds nothing, and with every file that does not fit.
        """
        self._types = types
        self._items: Iterable[Item] = ()
        self._files: list[Path] = []
        self.samples: int | None = None
        if isinstance(source, str | Path):
            self._files = files_in(Path(source))
            self.samples = self._checked()
            if not self.samples:
                raise _without_samples(str(source))
        else:
            self._items = source

    def batches(self) -> Iterator[Batch]:
        """The batches, each read when it is asked for. Raises `DataError` at what does not fit, or where is nothing."""
        waiting = _Waiting(self._types)
        found = False
        for place, item in self._placed():
            arrays = _by_name(item, self._types, place)
            fit = _fit({name: _type(array) for name, array in arrays.items()}, self._types, place)
            arrays = {name: _finite(arrays[name], name, place) for name in self._types}
            found = found or fit.samples > 0
            if fit.is_whole:
                yield Batch(arrays, fit.samples, place)
            elif fit.samples:
                rows = {name: array[None] for name, array in arrays.items()} if fit.lacks_axis else arrays
                yield from waiting.add(rows, place)
        yield from waiting.rest()
        if not found:
            raise _without_samples()

    def _placed(self) -> Iterator[tuple[str, Item]]:
        for path in self._files:
            yield str(path), read_arrays(path)
        for number, item in enumerate(self._items):
            yield f"item {number} of the data", item

    def _checked(self) -> int:
        """How many samples the files hold, going by what they say of their arrays."""
        problems: list[Problem] = []
        samples = sum(self._count(path, problems) for path in self._files)
        if problems:
            raise DataError(problems)
        return samples

    def _count(self, path: Path, problems: list[Problem]) -> int:
        """How many samples a file holds; what is wrong with it is added to the problems."""
        try:
            return _fit(_by_name(read_types(path), self._types, str(path)), self._types, str(path)).samples
        except DataError as error:
            problems += error.problems
            return 0


# ── what fits ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Fit:
    """How many samples an item holds; `is_whole` where it is run as it stands, `lacks_axis` where it is one sample."""

    samples: int
    is_whole: bool = False
    lacks_axis: bool = False


def _without_samples(place: str | None = None) -> DataError:
    return DataError(Problem("no-data", "there is not one sample in the data", help="give at least one", place=place))


def _by_name(item: _T | Mapping[str, _T], types: Types, place: str) -> dict[str, _T]:
    """The item by input; what has no name is the only input's. Raises `DataError`."""
    if not isinstance(item, Mapping):
        if len(types) != 1:
            help = f"the model takes {', '.join(types)}: give a dictionary, or a file that `numpy.savez` wrote"
            raise DataError(Problem("missing-input", "this is one array without a name", help=help, place=place))
        return dict.fromkeys(types, item)
    problems = [
        Problem("unknown-input", f"the model has no input {name}", help=f"it has {', '.join(types)}", place=place)
        for name in sorted(item.keys() - types.keys())
    ]
    problems += [
        Problem("missing-input", f"the model needs an input {name}: {tensor}", place=place)
        for name, tensor in types.items()
        if name not in item
    ]
    if problems:
        raise DataError(problems)
    return dict(item)


def _fit(found: Types, types: Types, place: str) -> _Fit:
    """How an item fits the model: as it stands, as a sample, or as samples. Raises `DataError`."""
    shapes = {name: tuple(int(size) for size in found[name].shape or ()) for name in types}
    if all(found[name].dtype == tensor.dtype for name, tensor in types.items()):
        together = _together(types)
        counts = {shape[0] if shape else 1 for shape in shapes.values()}
        if _agree(shapes, types, skipped=0) and (together is None or max(counts) <= together):
            return _Fit(min(counts), is_whole=True)
        if together is not None and _agree(shapes, types, skipped=1):
            return _Fit(1, lacks_axis=True)
        if together is not None and len(counts) == 1 and _agree(_rows(shapes), types, skipped=1):
            return _Fit(counts.pop())
    problems = [
        Problem("wrong-input", f"input {name} is {found[name]}, and the model takes {tensor}", help=help, place=place)
        for name, tensor in types.items()
        if (help := _objection(found[name], tensor, is_batched=_together(types) is not None))
    ]
    if not problems:
        message = f"the inputs do not belong together: {', '.join(f'{name} is {found[name]}' for name in types)}"
        problems = [Problem("wrong-input", message, help="give equally many samples for each", place=place)]
    raise DataError(problems)


def _together(types: Types) -> int | None:
    """How many samples are run together, if the inputs' first axis counts them."""
    first = {tensor.shape[0] if tensor.shape else None for tensor in types.values()}
    size = first.pop() if len(first) == 1 else None
    return MOST_TOGETHER if isinstance(size, str) else size


def _agree(found: Mapping[str, tuple[int, ...]], types: Types, *, skipped: int) -> bool:
    """Whether sizes are the wanted ones, of which the first axes are `skipped`.

    A size that has a name is any, and the same wherever it has that name.
    """
    named: dict[str, int | str] = {}
    for name, tensor in types.items():
        if tensor.shape is None:
            continue
        wanted = tensor.shape[skipped:]
        if len(wanted) != len(found[name]):
            return False
        for size, given in zip(wanted, found[name], strict=True):
            if given != (named.setdefault(size, given) if isinstance(size, str) else size):
                return False
    return True


def _rows(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: shape[1:] for name, shape in shapes.items()}


def _objection(found: TensorType, wanted: TensorType, *, is_batched: bool) -> str | None:
    """What to do about an array that fits in no way, or None."""
    if found.dtype != wanted.dtype:
        return f'convert it as you do before you run the model: `array.astype("{wanted.dtype}")`, and its scale'
    one, shape = {"x": wanted}, tuple(int(size) for size in found.shape or ())
    ways = [({"x": shape}, 0), *([({"x": shape}, 1), ({"x": shape[1:]}, 1)] if is_batched else [])]
    if any(_agree(sizes, one, skipped=skipped) for sizes, skipped in ways):
        return None
    rest = "x".join(map(str, (wanted.shape or ())[1:]))
    return f"a sample is {rest}, and N samples are Nx{rest}" if is_batched and rest else "give it in that shape"


def _type(array: Array) -> TensorType:
    return TensorType(dtype=str(array.dtype), shape=array.shape)


def _finite(array: Array, name: str, place: str) -> Array:
    """The array, if all its values are numbers; of one on disk, a part at a time is read. Raises `DataError`."""
    if array.dtype.kind in "biu":
        return array
    rows = array if array.ndim else array[None]
    for start in range(0, len(rows), MOST_TOGETHER):
        strange = ~np.isfinite(rows[start : start + MOST_TOGETHER].astype(np.float64))
        if strange.any():
            row, *rest = np.argwhere(strange)[0]
            message = f"input {name} is NaN or infinite at [{', '.join(map(str, (start + row, *rest)))}]"
            help = "take the sample out, or mend what makes it"
            raise DataError(Problem("not-finite-data", message, help=help, place=place))
    return array


class _Waiting:
    """Samples that wait until they are as many as the model takes together."""

    def __init__(self, types: Types) -> None:
        self._together = _together(types) or 1
        self._is_open = any(tensor.shape and isinstance(tensor.shape[0], str) for tensor in types.values())
        self._arrays: dict[str, Array] = {}
        self._place = ""

    def add(self, arrays: Mapping[str, Array], place: str) -> Iterator[Batch]:
        """Take samples, and give the batches that are full then; samples of other sizes begin a batch of their own."""
        if self._arrays and _rows(_shapes(self._arrays)) != _rows(_shapes(arrays)):
            yield from self.rest()
        self._place = place
        for start in range(0, min(map(len, arrays.values())), self._together):
            for name, array in arrays.items():
                part = array[start : start + self._together]
                held = self._arrays.get(name)
                self._arrays[name] = part if held is None else np.concatenate([held, part])
            if len(self) >= self._together:
                yield self._taken(self._together)

    def rest(self) -> Iterator[Batch]:
        """What is left, which fills its batch by repeating itself where the model's has a size of its own."""
        if samples := len(self):
            if not self._is_open:
                self._arrays = {n: np.resize(a, (self._together, *a.shape[1:])) for n, a in self._arrays.items()}
            yield replace(self._taken(len(self)), samples=samples)
        self._arrays = {}

    def __len__(self) -> int:
        return min((len(array) for array in self._arrays.values()), default=0)

    def _taken(self, samples: int) -> Batch:
        taken = {name: np.asarray(array[:samples]) for name, array in self._arrays.items()}
        self._arrays = {name: array[samples:] for name, array in self._arrays.items()}
        return Batch(taken, samples, self._place)


def _shapes(arrays: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
