"""`tune` and `records` on the command line: a tune that is killed goes on, and records can be looked at and shared."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from corecast.api.cli import main

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[1,16,12,12] image) => (float[1,32,12,12] y)
{
    shape = Constant<value = int64[4] {32,16,3,3}>()
    w = ConstantOfShape(shape)
    x = Conv<pads = [1, 1, 1, 1]>(image, w)
    y = Relu(x)
}
"""
RULES = "match nn.conv2d, set layout HWNC, tune tensorcore trials 12\n"
CORECAST = [sys.executable, "-m", "corecast.api"]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    onnx.save(onnx.parser.parse_model(NETWORK), str(tmp_path / "network.onnx"))
    (tmp_path / "case.rules").write_text(RULES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CORECAST_RECORDS", raising=False)
    assert main(["apply", "case.rules", "network.onnx", "--weights", "random:0", "-o", "bundle"]) == 0
    capsys.readouterr()
    return Path("bundle")


def trials(bundle: Path) -> list[str]:
    """The schedules that were tried so far."""
    store = bundle / "records" / "records.sqlite"
    if not store.exists():
        return []
    with sqlite3.connect(store) as db:
        try:
            return [str(schedule) for (schedule,) in db.execute("SELECT schedule FROM trials ORDER BY rowid")]
        except sqlite3.OperationalError:  # not made yet
            return []


@pytest.mark.slow
def test_a_tune_that_is_killed_goes_on_where_it_was(bundle: Path):
    """Nobody can tidy up after SIGKILL; what was measured is on record all the same, and is not measured again."""
    with subprocess.Popen(
        [*CORECAST, "tune", str(bundle)], start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tune:
        end = time.monotonic() + 300
        while not trials(bundle) and tune.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(tune.pid, signal.SIGKILL)
    before = trials(bundle)
    assert 0 < len(before) < 12
    done = subprocess.run([*CORECAST, "tune", str(bundle)], capture_output=True, text=True, check=True, timeout=600)
    after = trials(bundle)
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) == 12
    assert re.search(r"nn\.conv2d#0 .* blocked_cpu .* 12 of 12", done.stdout)


def test_a_store_is_looked_at_shared_and_pruned(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """Another bundle with the same layer is tuned from it without a search."""
    assert main(["tune", str(bundle), "--trials", "1", "--records", "shared.sqlite"]) == 0
    capsys.readouterr()
    assert main(["records", "list", "shared.sqlite"]) == 0
    listed = capsys.readouterr().out
    assert "nn.conv2d nn.relu -> float32 12x12x1x32" in listed
    (short,) = re.findall(r"^([0-9a-f]{10}) ", listed, re.MULTILINE)
    assert main(["records", "show", str(bundle), short[:4]]) == 0
    assert re.search(r"^trials +1, 0 failed$", capsys.readouterr().out, re.MULTILINE)
    assert main(["apply", "case.rules", "network.onnx", "--weights", "random:0", "-o", "second"]) == 0
    assert main(["tune", "second", "--records", "shared.sqlite"]) == 0
    assert re.search(r"nn\.conv2d#0 .* on record", capsys.readouterr().out)
    assert main(["records", "merge", "merged.sqlite", "second", "shared.sqlite"]) == 0
    assert "second/records/records.sqlite: 1 of 1 records taken" in capsys.readouterr().out
    assert main(["records", "prune", str(bundle)]) == 0
    assert capsys.readouterr().out.endswith("0 records and 1 trials dropped, 1 records kept\n")
    assert main(["run", "second"]) == 0
    assert "1 kernel" in capsys.readouterr().out


def test_a_pack_carries_records(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """A bundle that takes them needs no search, though it had no records at all."""
    assert main(["tune", str(bundle), "--trials", "1"]) == 0
    pack = Path("acme")
    pack.mkdir()
    (pack / "pack.yaml").touch()
    assert main(["records", "merge", "acme", str(bundle)]) == 0
    assert (pack / "records.sqlite").exists()
    assert main(["apply", "case.rules", "network.onnx", "--weights", "random:0", "-o", "second"]) == 0
    assert main(["records", "merge", "second", "acme"]) == 0
    capsys.readouterr()
    assert main(["tune", "second"]) == 0
    assert re.search(r"nn\.conv2d#0 .* on record", capsys.readouterr().out)


def test_an_unknown_record_and_a_missing_store_are_errors(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """Each says what to do."""
    assert main(["records", "list", str(bundle)]) == 2
    assert "error[no-records]: there are no tuning records in bundle/records/records.sqlite" in capsys.readouterr().err
    assert main(["tune", str(bundle), "--trials", "1"]) == 0
    assert main(["records", "show", str(bundle), "nothing"]) == 2
    assert "error[unknown-record]: no records begin with `nothing`" in capsys.readouterr().err


def test_an_unknown_tuner_is_an_error_before_anything_is_read(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """And nothing is written."""
    assert main(["tune", str(bundle), "--tuner", "autotvm"]) == 2
    assert "there is no tuner `autotvm`" in capsys.readouterr().err
    assert not (bundle / "records").exists()
