"""Drafts: what becomes of them where all goes well, where it does not, and where nobody is left to remove them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from corecast.adapters.whole import clear_abandoned, whole_file, whole_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_there_at_the_end_and_not_before(tmp_path: Path) -> None:
    """A reader sees nothing or all of it."""
    with whole_folder(tmp_path / "bundle") as draft:
        (draft / "part").write_text("one")
        assert not (tmp_path / "bundle").exists()
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["part"]


def test_what_raises_takes_its_folder_along(tmp_path: Path) -> None:
    """Whatever it is."""

    def interrupted() -> None:
        with whole_folder(tmp_path / "bundle") as draft:
            (draft / "part").write_text("one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_a_file_is_replaced_whole_and_keeps_its_permissions(tmp_path: Path) -> None:
    """A script stays one that can be run."""
    path = tmp_path / "script"
    path.write_text("old")
    path.chmod(0o750)
    with whole_file(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o750
    assert names(tmp_path) == ["script"]


def test_what_raises_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A half of the new is worth less than the whole of the old."""
    path = tmp_path / "plan.yaml"
    path.write_text("old")

    def on_a_full_disk() -> None:
        with whole_file(path) as draft:
            draft.write_text("n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        on_a_full_disk()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["plan.yaml"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What it leads to is replaced, not the link."""
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with whole_file(tmp_path / "link") as draft:
        draft.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_dead_drafts_of_a_place_are_removed_and_those_that_live_or_are_others_stay(tmp_path: Path) -> None:
    """A lock tells them apart: the system releases that of a process that is gone."""
    for name in (".bundle.dead.corecast-draft", ".bundle.alive.corecast-draft", ".other.dead.corecast-draft"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.yaml").touch()
    (tmp_path / ".bundle.notes").touch()
    handle = os.open(tmp_path / ".bundle.alive.corecast-draft", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert clear_abandoned(tmp_path / "bundle") == [tmp_path / ".bundle.dead.corecast-draft"]
    assert names(tmp_path) == [".bundle.alive.corecast-draft", ".bundle.notes", ".other.dead.corecast-draft"]
    os.close(handle)
    assert clear_abandoned(tmp_path / "bundle") == [tmp_path / ".bundle.alive.corecast-draft"]


def test_stars_and_brackets_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    """`b*` has nothing to do with `bundle`."""
    (tmp_path / ".bundle.dead.corecast-draft").mkdir()
    assert clear_abandoned(tmp_path / "b*") == []
