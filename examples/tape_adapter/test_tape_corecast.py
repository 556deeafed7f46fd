"""The adapter for tapes passes the tests that every adapter has to pass: `pytest test_tape_corecast.py`."""

from __future__ import annotations

from pathlib import Path

from tape_corecast import Tape, TapeAdapter

from corecast.testing import AdapterTests


class TestTapeAdapter(AdapterTests):
    adapter = TapeAdapter()
    rules = "match nn.dense where fan_in > 4\n  cast float16\n"

    def model(self) -> Tape:
        return self.adapter.load(str(Path(__file__).with_name("net.tape")))
