"""The environment of these tests: its versions, and the stand-in for the driver."""

import ctypes
import subprocess
import sys
from pathlib import Path

import driver_stub
import numpy as np
import pytest

CHECKOUT = Path(__file__).parents[2]

# What that TVM, or that it needs the driver's libraries, leaves no choice about.
OTHER_HERE = {"numpy", "ml_dtypes"}


def versions(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (CHECKOUT / name).read_text().splitlines():
        distribution, mark, version = line.partition("#")[0].partition(";")[0].strip().partition("==")
        if mark:
            found.setdefault(distribution, set()).add(version)
    return found


def test_versions_agree_with_the_main_environment():
    main, here = versions("constraints.txt"), versions("tests/relay/environment/constraints-relay.txt")
    differing = {name for name in main.keys() & here.keys() if main[name] != here[name]}
    assert differing == OTHER_HERE


def test_the_stub_loads_and_has_no_device(tmp_path):
    driver_stub.write(tmp_path)
    probe = f"import ctypes; print(ctypes.CDLL({str(tmp_path / driver_stub.SONAME)!r}).cuLaunchKernel())"
    assert subprocess.run([sys.executable, "-S", "-c", probe], capture_output=True, text=True).stdout == "100\n"


def test_the_stub_has_a_name_for_every_function(tmp_path):
    driver_stub.write(tmp_path)
    library = ctypes.CDLL(str(tmp_path / driver_stub.SONAME))
    assert all(getattr(library, name)() == 100 for name in driver_stub.FUNCTIONS)
    with pytest.raises(AttributeError):
        library.cuInit  # noqa: B018


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="numpy 1 has no wheels for Python 3.13")
def test_numpy_is_the_one_that_this_tvm_was_made_for():
    assert np.__version__.startswith("1.")
