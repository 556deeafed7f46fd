"""Files and folders that appear whole or not at all, whatever stops the process that writes them.

They are written beside their place under a name of their own, a draft, and renamed at the end. What raises removes its
draft; what is killed cannot, so a later run finds it: a lock that the system releases tells a dead draft from one that
is being written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".corecast-draft"


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, which then becomes `path`. Raises `OSError`, and leaves nothing behind."""
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent))
    with _locked(draft):
        try:
            yield draft
            draft.chmod(0o777 & ~_umask())
            os.rename(draft, path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


@contextmanager
def whole_files(path: Path) -> Iterator[Path]:
    """Give a folder to write into, whose files then stand where `path` does: the one of its name last, when the others
    are there. Raises `OSError`, and leaves nothing behind.
    """
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent))
    with _locked(draft):
        try:
            yield draft
            for file in sorted(draft.iterdir(), key=lambda file: file.name == path.name):
                os.rename(file, path.parent / file.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file to write, which then takes the place of what `path` was. Raises `OSError`, and leaves nothing behind.

    A link is followed, and what is no regular file (a pipe, a device) is written to as it is.
    """
    place = path.resolve()
    if place.exists() and not place.is_file():
        yield place
        return
    clear_abandoned(place)
    mode = place.stat().st_mode if place.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=_SUFFIX, dir=place.parent)
    os.close(handle)
    draft = Path(name)
    with _locked(draft):
        try:
            yield draft
            draft.chmod(mode)
            draft.replace(place)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def clear_abandoned(path: Path) -> list[Path]:
    """Remove the drafts of `path` that nobody writes any more, and say which."""
    abandoned = []
    for draft in sorted(path.parent.glob(f".{_literal(path.name)}.*{_SUFFIX}")):
        try:
            with _locked(draft):
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
        except OSError:
            continue  # it is being written, or is not ours
        abandoned.append(draft)
    return abandoned


@contextmanager
def _locked(draft: Path) -> Iterator[None]:
    """Hold the lock of a draft. Raises `BlockingIOError` where another process does."""
    handle = os.open(draft, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _literal(name: str) -> str:
    """A name as `glob` takes it, brackets and stars as they stand."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _umask() -> int:
    """The permissions that new files are not to have; to ask is to set."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
