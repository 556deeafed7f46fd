"""Calibration data: what a file or an item may be, how samples become batches, and what is refused, with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from corecast.model import TensorType
from corecast.quantization.data import Batch, Data
from corecast.quantization.files import DataError

IMAGE = {"image": TensorType(dtype="float32", shape=(4, 1, 2, 2))}
OPEN = {"image": TensorType(dtype="float32", shape=("n", 1, 2, 2))}
TEXT = {
    "ids": TensorType(dtype="int64", shape=(2, "length")),
    "mask": TensorType(dtype="float32", shape=(2, "length")),
}
Save = Callable[..., Path]


def images(count: int, first: int = 0) -> np.ndarray:
    """Images each of which holds its number."""
    return np.broadcast_to(np.arange(first, first + count, dtype=np.float32)[:, None, None, None], (count, 1, 2, 2))


def numbers(batches: Iterable[Batch]) -> list[list[int]]:
    return [batch.inputs["image"][:, 0, 0, 0].astype(int).tolist() for batch in batches]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write arrays to a file of the folder, and give the folder."""

    def write(name: str, array: object = None, **named: np.ndarray) -> Path:
        if named:
            np.savez(tmp_path / name, **named)
        else:
            np.save(tmp_path / name, array, allow_pickle=True)
        return tmp_path

    return write


def slugs(make: Callable[[], object]) -> list[str]:
    with pytest.raises(DataError) as caught:
        make()
    return [problem.slug for problem in caught.value.problems]


def read(source: object, types: dict[str, TensorType] = IMAGE) -> list[Batch]:
    return list(Data(source, types).batches())


# ── samples and batches ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_of_the_models_shape_is_a_batch(save: Save) -> None:
    """Files come in the order of their names; what is no file of arrays is left alone."""
    save("b.npy", images(4, 4))
    folder = save("a.npz", image=images(4))
    (folder / "labels.csv").write_text("0,1")
    data = Data(folder, IMAGE)
    batches = list(data.batches())
    assert numbers(batches) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [batch.place for batch in batches] == [str(folder / "a.npz"), str(folder / "b.npy")]
    assert data.samples == sum(batch.samples for batch in batches) == 8


def test_samples_are_gathered_until_they_fill_a_batch(save: Save) -> None:
    """One that lacks the first axis, several of another number, and many more than a batch."""
    save("0.npy", images(1)[0])
    save("1.npy", images(2, 1))
    folder = save("2.npy", images(9, 3))
    data = Data(folder, IMAGE)
    assert numbers(data.batches()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert data.samples == 12


def test_a_last_batch_repeats_its_own_samples() -> None:
    """Nothing is left out and nothing is counted twice."""
    batches = read([images(6)])
    assert numbers(batches) == [[0, 1, 2, 3], [4, 5, 4, 5]]
    assert [batch.samples for batch in batches] == [4, 2]


def test_an_open_batch_takes_what_there_is() -> None:
    """A long one in parts, and no sample is repeated."""
    batches = read([images(3), images(70)], OPEN)
    assert [len(batch.inputs["image"]) for batch in batches] == [3, 32, 32, 6]
    assert numbers(batches)[3] == list(range(64, 70))


def test_inputs_stay_together() -> None:
    """Each sample with its own mask; sizes of one name are equal, and samples of other sizes wait apart."""
    items = [{"ids": np.full((1, n), n), "mask": np.full((1, n), n, np.float32)} for n in (5, 5, 3, 5)]
    batches = read(items, TEXT)
    assert [batch.inputs["ids"].tolist() for batch in batches] == [[[5] * 5] * 2, [[3] * 3] * 2, [[5] * 5] * 2]
    assert all((batch.inputs["ids"] == batch.inputs["mask"]).all() for batch in batches)
    assert list(batches[0].inputs) == ["ids", "mask"]


def test_a_model_without_a_batch_takes_its_own_shapes_only() -> None:
    """First axes that differ count nothing."""
    types = {"a": TensorType(dtype="float32", shape=(3,)), "b": TensorType(dtype="float32", shape=())}
    item = {"a": np.ones(3, np.float32), "b": np.float32(1)[()] * np.ones((), np.float32)}
    assert [batch.samples for batch in read([item, item], types)] == [1, 1]
    assert slugs(lambda: read([{**item, "a": np.ones(6, np.float32)}], types)) == ["wrong-input"]


def test_a_single_file_stands_for_a_folder_of_it(save: Save) -> None:
    assert numbers(read(save("a.npy", images(4)) / "a.npy")) == [[0, 1, 2, 3]]


def test_a_generator_is_read_as_far_as_it_is_asked() -> None:
    """One batch at a time: nobody has to hold the data."""
    given = []

    def items() -> Iterable[np.ndarray]:
        for first in range(0, 12, 4):
            given.append(first)
            yield images(4, first)

    data = Data(items(), IMAGE)
    next(iter(data.batches()))
    assert (given, data.samples) == ([0], None)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_looked_at_before_any_is_run(save: Save) -> None:
    """All that does not fit is told at once, each with its file."""
    save("0.npy", images(4))
    save("1.npy", images(4).astype(np.float64))
    save("2.npy", np.zeros((4, 3, 2, 2), np.float32))
    save("3.npz", picture=images(4))
    save("4.npy", np.array([{"a": 1}], dtype=object))
    folder = save("6.npy", images(4)[..., :1])
    (folder / "5.npz").write_bytes(b"no zip")
    (folder / "7.npy").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        Data(folder, IMAGE)
    assert [(Path(problem.place).name, problem.slug) for problem in caught.value.problems] == [
        ("1.npy", "wrong-input"),
        ("2.npy", "wrong-input"),
        ("3.npz", "unknown-input"),
        ("3.npz", "missing-input"),
        ("4.npy", "wrong-input"),
        ("5.npz", "bad-data"),
        ("6.npy", "wrong-input"),
        ("7.npy", "bad-data"),
    ]
    assert 'array.astype("float32")' in str(caught.value)
    assert "a sample is 1x2x2, and N samples are Nx1x2x2" in str(caught.value)


def test_a_folder_without_arrays_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("none")
    assert slugs(lambda: Data(tmp_path, IMAGE)) == ["no-data"]
    assert slugs(lambda: Data(tmp_path / "nowhere", IMAGE)) == ["no-data"]


@pytest.mark.parametrize("source", [[], [images(0)]])
def test_data_without_samples_is_refused(source: list[np.ndarray]) -> None:
    assert slugs(lambda: read(source)) == ["no-data"]


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_is_no_number_is_named_with_its_place(save: Save, strange: float) -> None:
    """The file, the input, and where in it."""
    array = images(40).copy()
    array[35, 0, 1, 0] = strange
    folder = save("bad.npy", array)
    with pytest.raises(
        DataError, match=r"bad\.npy.*not-finite-data.*input image is NaN or infinite at \[35, 0, 1, 0\]"
    ):
        read(folder)


def test_an_item_is_named_by_its_number() -> None:
    with pytest.raises(DataError, match="item 1 of the data"):
        read([images(4), images(4).astype(np.int32)])


def test_inputs_that_do_not_belong_together_are_refused() -> None:
    """Each fits by itself."""
    items = [{"ids": np.zeros((2, 5), np.int64), "mask": np.zeros((2, 4), np.float32)}]
    assert slugs(lambda: read(items, TEXT)) == ["wrong-input"]


def test_an_array_without_a_name_is_refused_where_there_are_several_inputs() -> None:
    assert slugs(lambda: read([np.zeros((2, 5), np.int64)], TEXT)) == ["missing-input"]


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """Also where it is the compressed bytes that are damaged, and not the list of what is in it."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, image=images(8))
    damaged = bytearray(path.read_bytes())
    damaged[45:120] = bytes(75)
    path.write_bytes(damaged)
    with pytest.raises(DataError) as caught:
        Data(tmp_path, IMAGE)
    assert [(problem.slug, problem.place) for problem in caught.value.problems] == [("bad-data", str(path))]


def test_files_without_a_sample_are_refused_before_anything_is_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images(0))
    with pytest.raises(DataError, match="not one sample") as caught:
        Data(tmp_path, IMAGE)
    assert caught.value.problems[0].place == str(tmp_path)
