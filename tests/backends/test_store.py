"""The file of records: what is written is read, by several at once, and what is no store is refused without harm."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from corecast.backends import Key, Record, RecordsError, Store
from corecast.backends.store import StoredTrial

KEY = Key("0123456789abcdef", "llvm:cascadelake", "float32", "0.27.0", "llvm 22")
RECORD = Record(
    **vars(KEY), schedule="{}", seconds=1e-3, untuned=1e-1, computes="%0", kernel="{}", made="2026-01-01T00:00:00+00:00"
)
OTHERS = [
    replace(RECORD, workload="f" * 16),
    replace(RECORD, target="llvm:x86-64-v3"),
    replace(RECORD, dtype="int8"),
    replace(RECORD, tvm="0.26.0"),
    replace(RECORD, driver="llvm 21"),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "records.sqlite")


def key_of(record: Record) -> Key:
    return Key(record.workload, record.target, record.dtype, record.tvm, record.driver)


def test_a_record_is_found_by_all_of_its_key(store: Store):
    """Another target, TVM, driver, dtype or kernel is another key, and has records of its own."""
    store.put(RECORD)
    assert store.record(KEY) == RECORD
    assert [store.record(key_of(other)) for other in OTHERS] == [None] * len(OTHERS)
    for other in OTHERS:
        store.put(other)
    assert store.record(KEY) == RECORD
    assert len({record.id for record in store.records()}) == 1 + len(OTHERS)


def test_a_record_takes_the_place_of_the_one_of_its_key(store: Store):
    """A kernel has one schedule for a target."""
    store.put(RECORD)
    store.put(replace(RECORD, schedule="[]", seconds=2e-3))
    assert [(record.schedule, record.seconds) for record in store.records()] == [("[]", 2e-3)]


def test_trials_come_back_in_their_order(store: Store):
    """One that is tried again takes the place of the old one, at the end."""
    times = {"a": 1.0, "b": 2.0}
    trials = [StoredTrial(**vars(KEY), schedule=name, seconds=time, error=None) for name, time in times.items()]
    store.note(trials)
    store.note([replace(trials[0], seconds=None, error="killed")])
    assert [(trial.schedule, trial.seconds, trial.error) for trial in store.trials(KEY)] == [
        ("b", 2.0, None),
        ("a", None, "killed"),
    ]
    assert store.trials(key_of(OTHERS[0])) == []


def test_merging_takes_what_is_missing_or_faster(store: Store):
    """Whichever came first, and records of all targets."""
    store.put(RECORD)
    slower, faster = replace(RECORD, seconds=2e-3), replace(RECORD, seconds=5e-4)
    assert store.merge([slower]) == 0
    assert store.merge([faster, OTHERS[0]]) == 2
    assert store.record(KEY) == faster


def test_pruning_drops_trials_and_the_given_records(store: Store):
    """The file gives its space back."""
    store.merge([RECORD, *OTHERS])
    store.note([StoredTrial(**vars(KEY), schedule="a" * 100_000, seconds=1.0, error=None)])
    size = store.path.stat().st_size
    assert store.prune([RECORD]) == (1, 1)
    assert store.records() == sorted(OTHERS, key=lambda record: (record.target, record.workload))
    assert store.path.stat().st_size < size


def test_several_processes_may_write_at_once(store: Store):
    """Each writes 20 records of its own, and none is lost."""
    code = """
import sys
from dataclasses import replace
from corecast.backends.store import Record, Store
store = Store.open(sys.argv[1], writable=True)
for number in range(20):
    store.put(Record(f"{sys.argv[2]}-{number}", "t", "d", "v", "e", "{}", 1.0, 2.0, "", "", ""))
"""
    command = [sys.executable, "-c", code, str(store.path)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    assert len(store.records()) == 60


def test_a_store_can_be_read_where_nobody_may_write(store: Store):
    """A bundle on a disk that is read-only still has its records."""
    store.put(RECORD)
    store.path.parent.chmod(0o555)
    try:
        assert Store.open(store.path).record(KEY) == RECORD
    finally:
        store.path.parent.chmod(0o755)


def test_no_file_is_an_error(tmp_path: Path):
    """A mistyped path is not taken for empty records."""
    with pytest.raises(RecordsError, match="there are no tuning records in"):
        Store.open(tmp_path / "records.sqlite")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is a database of another program"),
        (b'{"records": []}' * 100, "file is not a database"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "cannot read"),
    ],
)
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes, message: str):
    """Whatever it is, it is somebody's file."""
    path = tmp_path / "records.sqlite"
    path.write_bytes(content)
    for attempt in (Store.open, Store.create) if content else (Store.open,):
        with pytest.raises(RecordsError, match=message) as caught:
            attempt(path)
        assert caught.value.problems[0].slug == "broken-records"
        assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_store(tmp_path: Path):
    """Who is killed while making one leaves such a file."""
    path = tmp_path / "records.sqlite"
    path.touch()
    assert Store.create(path).records() == []


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TRIGGER evil AFTER INSERT ON records BEGIN DELETE FROM records; END", "it has other tables"),
        ("CREATE VIEW evil AS SELECT 1", "it has other tables"),
        ("ALTER TABLE records ADD COLUMN more TEXT", "it has other tables"),
        ("DROP TABLE trials", "it has other tables"),
        ("PRAGMA application_id = 1", "it is a database of another program"),
        ("PRAGMA user_version = 99", "has records of version 99"),
    ],
)
def test_a_database_with_more_in_it_than_records_is_refused(store: Store, statement: str, message: str):
    """Triggers and views would run when records are written or read."""
    with sqlite3.connect(store.path) as db:
        db.execute(statement)
    with pytest.raises(RecordsError, match=message):
        Store.open(store.path)


@pytest.mark.parametrize(
    ("column", "value"), [("seconds", "fast"), ("seconds", -1.0), ("schedule", b"\x00"), ("untuned", 9e999)]
)
def test_values_of_other_kinds_are_refused(store: Store, column: str, value: object):
    """SQLite puts anything into any column."""
    store.put(RECORD)
    with sqlite3.connect(store.path) as db:
        db.execute(f"UPDATE records SET {column} = ?", [value])
    with pytest.raises(RecordsError, match="values of other kinds than records have"):
        store.record(KEY)


def test_a_damaged_page_is_an_error(store: Store):
    """Not a crash, and not half of the records."""
    store.merge([replace(RECORD, workload=str(number), computes="x" * 2000) for number in range(50)])
    content = bytearray(store.path.read_bytes())
    content[8192 : 8192 + 4096 * 3] = b"\xa5" * 4096 * 3
    store.path.write_bytes(content)
    with pytest.raises(RecordsError) as caught:
        Store.open(store.path)
    assert caught.value.problems[0].slug == "broken-records"


def test_a_full_disk_is_told_and_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    """SQLite stops at the number of pages that it is allowed, as it does where a disk ends."""
    store.put(RECORD)
    connect = sqlite3.connect

    def small(*args: object, **options: object) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.execute("PRAGMA max_page_count = 8")
        return db

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(RecordsError, match="there is no room to write") as caught:
        store.merge([replace(RECORD, workload=str(number), computes="x" * 3000) for number in range(50)])
    assert caught.value.problems[0].slug == "records-full"
    assert store.records() == [RECORD]
