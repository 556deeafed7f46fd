"""Python's collector is left as it was found, whoever worked at the same time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from corecast.model.collector import SELDOM, collecting_seldom


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_looks_seldom_and_then_as_before() -> None:
    with collecting_seldom():
        assert gc.get_threshold() == SELDOM
    assert gc.get_threshold() == (700, 10, 10)


def test_after_an_error_too() -> None:
    with pytest.raises(ValueError, match="no"), collecting_seldom():
        raise ValueError("no")
    assert gc.get_threshold() == (700, 10, 10)


def test_it_stays_until_the_last_of_several_is_done() -> None:
    first, second = collecting_seldom(), collecting_seldom()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == SELDOM
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [(0, 10, 10), (500_000, 10, 10)], ids=["off", "more seldom still"])
def test_what_its_owner_set_stands(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    with collecting_seldom():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_what_is_set_meanwhile_stands() -> None:
    with collecting_seldom():
        gc.set_threshold(900, 10, 10)
    assert gc.get_threshold() == (900, 10, 10)
