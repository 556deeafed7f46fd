"""Tests of the Relay adapter beside the code that it succeeds, in .venv-relay; `make test-relay` runs them.

In the main environment, whose TVM has no Relay, only the test of that case is collected.
"""

import os
from pathlib import Path

from corecast.adapters.relay import has_relay

# TVM would look for tuned schedules on the network whenever it compiles.
os.environ["TOPHUB_LOCATION"] = "NONE"

if not has_relay():
    collect_ignore = [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_no_relay.py"]
