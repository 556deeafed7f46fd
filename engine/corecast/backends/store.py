"""A file in, what was ever tuned out: one SQLite database of records and trials, safe under several writers.

A record is the best schedule that is known for a kernel on a target; a trial is one candidate that was measured, or
failed. Both have the same key, so that nothing is offered to another target, TVM or driver. Rows are plain text and
numbers: reading a store carries nothing of it out, and needs no TVM.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from corecast.lang.problems import CorecastError, Problem

# What SQLite files of ours have in their header: "Corc", and the version of the tables below.
APPLICATION, VERSION = 0x436F7263, 1
# How long a writer waits for another one, in seconds.
PATIENCE = 60.0

_KEY = """
  workload TEXT NOT NULL, target TEXT NOT NULL, dtype TEXT NOT NULL, tvm TEXT NOT NULL, driver TEXT NOT NULL"""
_TABLES = (
    f"""CREATE TABLE records ({_KEY},
  schedule TEXT NOT NULL, seconds REAL NOT NULL, untuned REAL NOT NULL, computes TEXT NOT NULL,
  kernel TEXT NOT NULL, made TEXT NOT NULL,
  PRIMARY KEY (workload, target, dtype, tvm, driver))""",
    f"""CREATE TABLE trials ({_KEY},
  schedule TEXT NOT NULL, seconds REAL, error TEXT,
  PRIMARY KEY (workload, target, dtype, tvm, driver, schedule))""",
)


class RecordsError(CorecastError):
    """Records that cannot be read or written."""

    @classmethod
    def of(cls, slug: str, message: str, help: str) -> RecordsError:
        return cls(Problem(slug, message, help=help))


@dataclass(frozen=True)
class Key:
    """What a schedule is for.

    Attributes:
        workload: a digest of the kernel's loops and of what they compute.
        target: TVM's kind and the chip: `llvm:cascadelake`, also where the target was "this machine".
        dtype: that of the kernel's first argument.
        tvm: its version; traces are instructions to one version of TVM's scheduler.
        driver: what turns code into machine code there: `llvm 22`, `cuda 13.0`.
    """

    workload: str
    target: str
    dtype: str
    tvm: str
    driver: str


@dataclass(frozen=True)
class Record(Key):
    """The best schedule known, its time and that of TVM's own code, measured in one go; times are in seconds.

    `computes` has the operators of the kernel for people, `kernel` its loops in TVM's JSON, which only an export reads.
    """

    schedule: str
    seconds: float
    untuned: float
    computes: str
    kernel: str
    made: str

    SHORT: ClassVar[int] = 10

    @property
    def id(self) -> str:
        """A short name: the first digits of a digest of its key."""
        return sha256("\n".join(_key(self)).encode()).hexdigest()[: self.SHORT]


@dataclass(frozen=True)
class StoredTrial(Key):
    """A candidate that was measured, or why it failed."""

    schedule: str
    seconds: float | None
    error: str | None


class Store:
    """The records and trials in one file. Every change is a transaction: who is killed leaves what was there."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        """A file that is known to be a store; `create` and `open` make sure of it."""
        self.path = path
        self._writable = writable

    @classmethod
    def create(cls, path: str | Path) -> Store:
        """The store in a file, which is made where there is none. Raises `RecordsError`."""
        place = Path(path)
        if not place.exists() or place.stat().st_size == 0:
            store = cls(place, writable=True)
            with _told(place):
                place.parent.mkdir(parents=True, exist_ok=True)
            with store._transaction() as db:
                if not _tables(db):  # another process may have been first
                    for statement in _TABLES:
                        db.execute(statement)
                    db.execute(f"PRAGMA application_id = {APPLICATION}")
                    db.execute(f"PRAGMA user_version = {VERSION}")
        return cls.open(place, writable=True)

    @classmethod
    def open(cls, path: str | Path, *, writable: bool = False) -> Store:
        """The store in a file that is there. Raises `RecordsError` where it is damaged, or no store of ours."""
        place = Path(path)
        if not place.is_file():
            raise RecordsError.of("no-records", f"there are no tuning records in {place}", "check the path, or tune")
        with cls(place, writable=False)._connected() as db:  # a file of somebody else's is not even touched
            _check(place, db)
        return cls(place, writable=writable)

    def record(self, key: Key) -> Record | None:
        """The record of a key."""
        with self._connected() as db:
            row = db.execute(f"SELECT * FROM records WHERE {_EQUAL}", _key(key)).fetchone()
        return None if row is None else self._record(row)

    def records(self) -> list[Record]:
        """Every record, in the order of their keys."""
        with self._connected() as db:
            return [self._record(row) for row in db.execute("SELECT * FROM records ORDER BY target, workload")]

    def trials(self, key: Key) -> list[StoredTrial]:
        """What was tried for a key, in the order in which it was."""
        with self._connected() as db:
            rows = db.execute(f"SELECT * FROM trials WHERE {_EQUAL} ORDER BY rowid", _key(key))
            return [StoredTrial(*row) for row in rows]

    def put(self, record: Record) -> None:
        """Write down a record in place of the one of its key."""
        with self._transaction() as db:
            _insert(db, "records", [astuple(record)])

    def note(self, trials: Iterable[StoredTrial]) -> None:
        """Write down trials; one that was made again takes the place of the old one."""
        with self._transaction() as db:
            _insert(db, "trials", map(astuple, trials))

    def merge(self, records: Iterable[Record]) -> int:
        """Take what is missing here or faster than here, and return how many that were."""
        taken = 0
        with self._transaction() as db:
            for record in records:
                own = db.execute(f"SELECT seconds FROM records WHERE {_EQUAL}", _key(record)).fetchone()
                if own is None or own[0] > record.seconds:
                    _insert(db, "records", [astuple(record)])
                    taken += 1
        return taken

    def prune(self, useless: Iterable[Record]) -> tuple[int, int]:
        """Drop these records and all trials, give their space back, and return how many there were of each."""
        with self._transaction() as db:
            trials = db.execute("DELETE FROM trials").rowcount
            keys = list(map(_key, useless))
            db.executemany(f"DELETE FROM records WHERE {_EQUAL}", keys)
        with self._connected() as db:
            db.execute("VACUUM")
        return len(keys), trials

    def _record(self, row: tuple[object, ...]) -> Record:
        times = [row[at] for at in _TIMES]
        texts = [value for at, value in enumerate(row) if at not in _TIMES]
        if not all(isinstance(value, str) for value in texts) or not all(map(_is_time, times)):
            raise _broken(self.path, "a record in it has values of other kinds than records have")
        return Record(*row)  # type: ignore[arg-type]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.rollback()
                raise
            db.commit()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for one use: none is held, so that a store can be used from any thread and after a fork."""
        with _told(self.path):
            if self._writable:
                db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            else:
                # A folder that we may not write to cannot hold what readers of a write-ahead log share.
                mode = "mode=ro" if os.access(self.path.parent, os.W_OK) else "mode=ro&immutable=1"
                uri = f"{self.path.absolute().as_uri()}?{mode}"
                db = sqlite3.connect(uri, timeout=PATIENCE, isolation_level=None, uri=True)
            try:
                db.execute("PRAGMA trusted_schema = OFF")
                if self._writable:
                    db.execute("PRAGMA journal_mode = WAL")
                yield db
            finally:
                db.close()


_EQUAL = " AND ".join(f"{field.name} = ?" for field in fields(Key))
_TIMES = [at for at, field in enumerate(fields(Record)) if field.name in ("seconds", "untuned")]


def _is_time(value: object) -> bool:
    """Whether a value is a time in seconds; SQLite keeps whatever it is given."""
    return isinstance(value, float) and 0 < value < float("inf")


def _key(key: Key) -> tuple[str, ...]:
    """The columns of a key, also of what has more."""
    return key.workload, key.target, key.dtype, key.tvm, key.driver


def now() -> str:
    """The present, as records have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    width = len(fields(Record if table == "records" else StoredTrial))
    db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * width)})", rows)


def _tables(db: sqlite3.Connection) -> list[str]:
    rows = db.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
    return [str(sql) for (sql,) in rows]


def _check(path: Path, db: sqlite3.Connection) -> None:
    """Refuse what is damaged, and what has more in it than our tables: views and triggers would run."""
    (application,), (version,) = (
        db.execute(f"PRAGMA {what}").fetchone() for what in ("application_id", "user_version")
    )
    if application != APPLICATION:
        raise _broken(path, "it is a database of another program")
    if version > VERSION:
        message = f"{path} has records of version {version}, and this Corecast reads those up to {VERSION}"
        raise RecordsError.of("newer-records", message, "take a newer Corecast, or another file")
    if _tables(db) != sorted(_TABLES):
        raise _broken(path, "it has other tables than a store")
    (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise _broken(path, str(state))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite and the system say of a file, as errors of ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error) or "disk I/O" in str(error):
            message = f"there is no room to write {path}: {error}"
            raise RecordsError.of("records-full", message, "make room; what was recorded before is kept") from error
        if "locked" in str(error) or "readonly" in str(error) or "unable to open" in str(error):
            message = f"cannot write or read {path}: {error}"
            raise RecordsError.of("records-locked", message, "check who else uses it and who may write it") from error
        raise _broken(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _broken(path, str(error)) from error
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise RecordsError.of("records-locked", message, "check the folder and who may write it") from error


def _broken(path: Path, error: str) -> RecordsError:
    message = f"cannot read {path}: {error}"
    return RecordsError.of("broken-records", message, "delete the file and tune again, or take one from a backup")
