"""Makes .venv-relay: a virtual environment whose `tvm` has Relay, with this checkout's `corecast` importable in it.

No release of apache-tvm that can be installed today has Relay. A frozen 0.17 lies inside the wheel of bitblas; of that
wheel only the TVM library and its Python package are taken. Nothing is done where everything is there already.
Where it cannot be made, the reason is printed and the exit status is 1.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import driver_stub

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / ".venv-relay"
PYTHON = FOLDER / "bin" / "python"
LOG = CHECKOUT / ".venv-relay.log"
READY = FOLDER / "ready"
REQUIREMENTS = Path(__file__).with_name("constraints-relay.txt")

CARRIER = "bitblas==0.1.0"
CARRIED = "bitblas/3rdparty/tvm/"
WANTED = ("build/libtvm.so", "python/")
TVM = FOLDER / "tvm"

CHECK = "from tvm import relay; from tvm.relay import testing; import corecast.api.cli"


class SetUpError(Exception):
    """Why the environment cannot be made here."""


def main() -> int:
    state = _state()
    if READY.is_file() and READY.read_text() == state:
        return 0
    try:
        _refuse_other_platforms()
        print(
            "Making .venv-relay, the environment with Relay: 145 MB to fetch, half a minute, this once.",
            file=sys.stderr,
        )
        _set_up()
    except SetUpError as error:
        print(error)
        return 1
    READY.write_text(state)
    return 0


def _state() -> str:
    """Changes when something must be made anew; a virtual environment does not survive being moved."""
    texts = [path.read_bytes() for path in (REQUIREMENTS, *sorted(Path(__file__).parent.glob("*.py")))]
    return f"{CHECKOUT} {platform.python_version()} {hashlib.sha256(b''.join(texts)).hexdigest()}\n"


def _refuse_other_platforms() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SetUpError(
            f"the TVM with Relay is built for Linux on x86_64, and this is {sys.platform} on {platform.machine()}"
        )
    if platform.libc_ver()[0] != "glibc":
        raise SetUpError("the TVM with Relay is built for glibc, and this system has another C library")
    if sys.version_info >= (3, 14):
        raise SetUpError(f"TVM 0.17 is too old for Python {platform.python_version()}; 3.10 to 3.13 will do")


def _set_up() -> None:
    LOG.write_text("")
    _run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
    _run(*_pip("install"), "--requirement", str(REQUIREMENTS))
    _run(*_pip("download"), "--dest", str(TVM), CARRIER)
    for wheel in TVM.glob("*.whl"):
        _unpack(wheel)
        wheel.unlink()
    driver_stub.write(TVM)
    _make_importable()
    _run(str(PYTHON), "-c", CHECK)


def _pip(command: str) -> tuple[str, ...]:
    quiet = ("--disable-pip-version-check", "--no-cache-dir", "--only-binary=:all:", "--no-deps")
    return (str(PYTHON), "-m", "pip", command, *quiet)


def _unpack(wheel: Path) -> None:
    """Write the TVM in the wheel to `TVM`, without its folders of compiled Python."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = name.removeprefix(CARRIED)
            if name.startswith(CARRIED) and path.startswith(WANTED) and not path.endswith((".pyc", "/")):
                target = TVM / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)


def _make_importable() -> None:
    """Lines of a `.pth` file are folders to import from; one that begins with `import` is run at every start."""
    (packages,) = FOLDER.glob("lib/python*/site-packages")
    folders = [TVM / "python", CHECKOUT / "dsl", CHECKOUT / "engine", Path(__file__).parent]
    (packages / "corecast-relay.pth").write_text("".join(f"{line}\n" for line in [*folders, "import tvm_libraries"]))


def _run(*command: str) -> None:
    with LOG.open("a") as log:
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if status:
        lines = LOG.read_text().strip().splitlines() or ["no output"]
        raise SetUpError(f"{lines[-1]} (all of it is in {LOG.name}; make tries again)")


if __name__ == "__main__":
    sys.exit(main())
