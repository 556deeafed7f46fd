"""A wheel in, a virtual environment with it and some of what it needs out: what users have, not what developers do."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = ("corecast", "_corecast")  # the checkout's own editable install


@dataclass(frozen=True)
class Installed:
    """A virtual environment that the wheel was installed in, and a folder of its own to run things from."""

    environment: Path
    folder: Path

    def run(self, command: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, in its own folder or another one."""
        return _run([str(self.environment / "bin" / command), *arguments], folder or self.folder)

    def python(self, code: str) -> str:
        """Run code in isolation and return what it printed."""
        done = self.run("python", "-I", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(wheel: Path, home: Path, without: Sequence[str], only: Sequence[str] = ("",)) -> Installed:
    """Make an environment whose dependencies are links to ours, so that it costs a second and no network."""
    environment, folder, needed = home / "venv", home / "elsewhere", home / "needed"
    folder.mkdir()
    needed.mkdir()
    for path in map(Path, {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for entry in path.iterdir():
            if entry.name.startswith(tuple(only)) and not entry.name.startswith((*OURS, *without)):
                (needed / entry.name).symlink_to(entry)
    made = _run([sys.executable, "-m", "venv", "--without-pip", str(environment)], home)
    assert made.returncode == 0, made.stderr
    (site,) = environment.glob("lib/python3.*/site-packages")
    (site / "needed.pth").write_text(f"{needed}\n", encoding="utf-8")
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-I", "-m", "pip", "--python", python]
    put = _run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], folder)
    assert put.returncode == 0, put.stderr
    return Installed(environment, folder)


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))}
    return subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=False)
