"""AutoTVM's JSON log in a bundle: for each task at most one schedule, which was measured here and found right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tvm import autotvm

from corecast.adapters.whole import whole_file
from corecast.lang.problems import CorecastError, Problem

FILE = "autotvm.json"


class RecordsError(CorecastError):
    """A log that cannot be read."""


class Records:
    """The log in one folder, as `autotvm.apply_history_best` takes it. Nothing is held in memory between calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / FILE

    def __contains__(self, task: Any) -> bool:
        """Whether there is a schedule for a task of AutoTVM's on its target."""
        return any(_key(row) == (str(task.target), task.workload) for row in self._rows())

    def put(self, row: str) -> None:
        """Write down a row, in one step."""
        rows = [*self._rows(), row]
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.file) as draft:
            draft.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

    def _rows(self) -> list[str]:
        if not self.file.exists():
            return []
        rows = self.file.read_text(encoding="utf-8").splitlines()
        for number, row in enumerate(rows, 1):
            try:
                known = autotvm.record.decode(row)
            except Exception as error:  # whatever AutoTVM's reader met
                raise self._broken(number) from error
            if known is None:
                raise self._broken(number)
        return rows

    def _broken(self, line: int) -> RecordsError:
        message = f"{self.file}, line {line}, is no record of this AutoTVM"
        return RecordsError(Problem("broken-records", message, help="delete the file and tune again"))


def _key(row: str) -> tuple[str, Any]:
    known, _ = autotvm.record.decode(row)
    return str(known.target), known.task.workload
