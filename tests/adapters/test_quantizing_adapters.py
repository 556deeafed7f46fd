"""An adapter that computes on no integers says so before it does anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from corecast.adapters.agreement import UnsupportedError
from corecast.adapters.door import Adapter, Conversion, Pass
from corecast.adapters.relay.emit import emit
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import LayerTable, parse_table
from corecast.plan import Plan, plan

TABLE = parse_table("""
data: float32 2x4x5x5
nn.conv2d#0(data, %w0: float32 4x4x1x1) -> float32 2x4x5x5 @c0
nn.conv2d#1(nn.conv2d#0, %w1: float32 4x4x1x1) -> float32 2x4x5x5 @c1
return nn.conv2d#1
""")


class Tables(Adapter[LayerTable]):
    """Models that are layer tables, with passes that nobody must run here."""

    ir: ClassVar[str] = "table"

    def load(self, path: str, **options: Any) -> LayerTable:
        raise NotImplementedError

    def survey(self, model: LayerTable) -> LayerTable:
        return model

    def compile(self, plan: Plan) -> list[Pass[LayerTable]]:  # noqa: ARG002
        return []

    def write(self, conversion: Conversion[LayerTable], path: Path) -> None:
        raise NotImplementedError


def planned(rules: str) -> Plan:
    return plan(read_recipe(Source("case.rules", rules), TABLE), TABLE)


def test_a_plan_that_quantizes_is_refused_with_its_layers() -> None:
    with pytest.raises(UnsupportedError) as raised:
        Tables().apply(planned("match nn.conv2d, quantize int8"), TABLE)
    assert "`table` are not quantized here, and case.rules asks for nn.conv2d#0..1" in str(raised.value)
    assert "as a Relax module, or leave `quantize` away" in str(raised.value)


def test_no_script_leaves_it_out() -> None:
    """A script for Relay that cast nothing would look as if it did what was asked."""
    with pytest.raises(UnsupportedError, match="`relay` are not quantized here"):
        emit(planned("match nn.conv2d, quantize int8"))
    assert "nn.conv2d" in emit(planned("match nn.conv2d, cast float16"))


def test_a_plan_that_keeps_is_not() -> None:
    assert Tables().apply(planned("match nn.conv2d, keep"), TABLE).realised.quantized == 0
