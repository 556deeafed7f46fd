"""Where `tvm` has no Relay: in the main environment as it is, in the other one with `tvm` out of sight."""

import subprocess
import sys

import pytest

from corecast.adapters import relay
from corecast.adapters.relay import NoRelayError, has_relay

WITHOUT_TVM = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *others: None if name == "tvm" else find_spec(name, *others)
from corecast.adapters import relay
try:
    relay.survey
except relay.NoRelayError as error:
    print(error)
assert callable(relay.emit)
"""


if not has_relay():

    def test_a_later_tvm_is_named_with_the_way_out():
        with pytest.raises(
            NoRelayError, match=r"(?s)no-relay.*: Relay is not here: this TVM, 0\.\d+.*--emit FILE\.py"
        ) as caught:
            relay.compile_plan  # noqa: B018
        assert caught.value.problems[0].slug == "no-relay"


def test_without_tvm_scripts_can_be_written_and_nothing_else():
    output = subprocess.run([sys.executable, "-c", WITHOUT_TVM], capture_output=True, text=True, check=True).stdout
    assert output.startswith("error[no-relay]: Relay is not here: there is no module `tvm`\n  help: ")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        relay.nothing  # noqa: B018
