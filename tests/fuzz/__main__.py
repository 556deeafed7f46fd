"""`python -m fuzz --count 100000`: many cases over all cores, with a line of progress; exits 1 where one is broken.

Each finding is printed and kept as `.fuzz/seed-N.txt`; `.fuzz/done` has a line for each piece that is through. How far
it came is said at the end, after an interrupt too, and `--first` goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fuzz.campaign import SAMPLE

FOLDER = Path(".fuzz")
# So many seeds go through one process, whose hash seed is its own.
CHUNK = 500


class Campaign:
    """Seeds from `first` to `stop` over `jobs` processes, and what is known of them so far."""

    def __init__(self, first: int, stop: int, jobs: int, sample: int) -> None:
        self.first, self.stop, self.jobs, self.sample = first, stop, jobs, sample
        self.outcomes: Counter[str] = Counter()
        self.pieces: dict[int, Counter[str]] = {}
        self.findings: dict[int, str] = {}
        self.done = dict.fromkeys(range(first, stop, CHUNK), 0)
        self.changed: Callable[[], None] = lambda: None
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        """All chunks; an interrupt ends the processes and is raised again."""
        FOLDER.mkdir(exist_ok=True)
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                list(pool.map(self._chunk, self.done))
            except KeyboardInterrupt:
                self._ended.set()
                for process in list(self._running):
                    process.kill()
                raise

    @property
    def next(self) -> int:
        """The first seed that is not done."""
        for start, count in self.done.items():
            if start + count < min(start + CHUNK, self.stop):
                return start + count
        return self.stop

    def _chunk(self, start: int) -> None:
        stop = min(start + CHUNK, self.stop)
        while start + self.done[start] < stop and not self._ended.is_set():
            self._process(start, start + self.done[start], stop)

    def _process(self, chunk: int, first: int, stop: int) -> None:
        """One process until it is through or dies; the seed that it was at is to blame then."""
        command = [sys.executable, "-m", "fuzz.worker", str(first), str(stop), str(self.sample)]
        environment = {**os.environ, "PYTHONHASHSEED": str(1 + first % 1000), "OPENBLAS_NUM_THREADS": "1"}
        environment |= {"TVM_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, errors="replace"
        )
        self._running.add(process)
        said: list[str] = []
        listener = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        listener.start()
        for line in process.stdout or ():
            if line.startswith("{"):
                self._note(chunk, **json.loads(line))
        listener.join()
        self._running.discard(process)
        if process.wait() and not self._ended.is_set():
            seed = chunk + self.done[chunk]
            reason = "".join(said[-40:])
            self._note(
                chunk, seed, {"the process died": 1}, f"seed {seed}: the process died ({process.returncode})\n{reason}"
            )

    def _note(self, chunk: int, seed: int, outcomes: dict[str, int], finding: str | None) -> None:
        self.done[chunk] = seed + 1 - chunk
        self.outcomes.update(outcomes)
        self.pieces.setdefault(chunk, Counter()).update(outcomes)
        if finding:
            self.findings[seed] = finding
            (FOLDER / f"seed-{seed}.txt").write_text(finding, encoding="utf-8")
        if seed + 1 == min(chunk + CHUNK, self.stop):
            with (FOLDER / "done").open("a", encoding="utf-8") as log:
                log.write(f"{chunk}..{seed} {json.dumps(self.pieces.pop(chunk))}\n")
        self.changed()


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Random networks through random recipes.")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1000, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="compile one case in so many; 0 for none")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    campaign = Campaign(options.first, options.first + options.count, options.jobs, options.sample)
    columns = (TextColumn("fuzz"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[found]} found"), console=console) as bar:
        task = bar.add_task("fuzz", total=options.count, found=0)

        def changed() -> None:
            bar.update(task, completed=sum(campaign.done.values()), found=len(campaign.findings))

        campaign.changed = changed
        try:
            campaign.run()
        except KeyboardInterrupt:
            console.print("interrupted")
    for finding in campaign.findings.values():
        console.rule()
        console.print(finding, markup=False)
    for outcome, count in campaign.outcomes.most_common():
        console.print(f"{count:8}  {outcome}", markup=False)
    console.print(f"seeds {campaign.first} to {campaign.next - 1}: {len(campaign.findings)} broken", markup=False)
    if (left := campaign.stop - campaign.next) > 0:
        console.print(f"go on with --first {campaign.next} --count {left}", markup=False)
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
