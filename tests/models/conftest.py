"""Which models of the zoo are tried: three published ones and TVM's own at every push, all of them on request."""

from __future__ import annotations

import pytest
from models.zoo import specimens


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "specimen" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all-models")
        chosen = [specimen for specimen in specimens() if every or specimen.cheap]
        metafunc.parametrize("specimen", chosen, ids=str)
