"""Emitted scripts: run with nothing but that TVM, they give what the passes give."""

import ast
import subprocess
import sys

import pytest
import tvm
from relay.relay_networks import WORKFLOW, chain, network, plan_of

from corecast.adapters.relay import EmitError, apply, emit


def converter(script):
    names = {"__name__": "emitted"}
    exec(compile(script, "emitted.py", "exec"), names)
    return names["convert"]


MIXED = """
match nn.conv2d #1..5, set layout HWNC
match nn.conv2d #6..9, cast float16 -> float16
match add, cast float16
match nn.dense, cast int8
"""


@pytest.mark.parametrize("rules", [WORKFLOW, MIXED])
def test_a_script_does_what_the_passes_do(rules):
    module = network("resnet18_b8")
    plan = plan_of(rules, module)
    assert tvm.ir.structural_equal(converter(emit(plan))(module), apply(plan, module).converted, map_free_vars=True)


def test_a_script_runs_where_there_is_no_corecast(tmp_path):
    module = network("resnet18_b8")
    plan = plan_of(WORKFLOW, module)
    (tmp_path / "convert.py").write_text(emit(plan))
    (tmp_path / "module.json").write_text(tvm.ir.save_json(module))
    without = "import sys, runpy; sys.path[:] = [p for p in sys.path if not p.endswith(('/dsl', '/engine'))]; "
    run = (
        f"{without}sys.argv[1:] = ['module.json', 'converted.json']; runpy.run_path('convert.py', run_name='__main__')"
    )
    subprocess.run([sys.executable, "-c", run], cwd=tmp_path, check=True, capture_output=True)
    converted = tvm.ir.load_json((tmp_path / "converted.json").read_text())
    assert tvm.ir.structural_equal(converted, apply(plan, module).converted)


def test_a_script_says_what_it_does_and_reads_like_one():
    script = emit(plan_of(WORKFLOW, network("resnet18_b8"), "resnet18"))
    assert script.startswith("\"\"\"Converts the Relay module 'resnet18' as the recipe 'test' decided.\n")
    assert '    ("nn.conv2d", [*range(1, 21)], "int8", "int32"),\n' in script
    assert '        1: "stage1_unit1_conv1_weight",\n' in script
    assert "corecast" not in script
    assert "noqa" not in script
    ast.parse(script, feature_version=(3, 7))


def test_a_script_refuses_another_module():
    script = emit(plan_of("match nn.conv2d #1, cast int8", chain(("a", 32), ("b", 32))))
    with pytest.raises(ValueError, match=r"another module: nn\.conv2d #1 should read b"):
        converter(script)(chain(("a", 32), ("c", 32)))


def test_a_plan_without_changes_is_a_script_without_any():
    module = chain(("a", 32))
    assert tvm.ir.structural_equal(converter(emit(plan_of("match nn.conv2d, keep", module)))(module), module)


def test_calls_that_cannot_be_counted_are_refused():
    from tvm import relay

    data = relay.var("data", shape=(2, 8))
    module = tvm.IRModule.from_expr(relay.reshape(data, (8, 2)))
    with pytest.raises(EmitError, match="a script cannot find reshape#0"):
        emit(plan_of("match reshape, cast float16", module))
