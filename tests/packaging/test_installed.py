"""What the wheel can do away from the checkout, in an environment with TVM and in one without a trace of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from environments import Installed, install

TVM = ("tvm", "apache_tvm")
# What deciding needs: lark, pyyaml, and pydantic with its own four.
DECIDING = ("lark", "yaml", "_yaml", "pydantic", "annotated_types", "typing_extensions", "typing_inspection")

# Parse, resolve, plan and explain a recipe that came in the wheel, on a model that is four lines of text.
PLAN = '''
from corecast.api import explain, plan, read_recipe
from corecast.model import parse_table

table = parse_table("""
    data: float32 8x3x8x8
    nn.conv2d#0(data, %stem: float32 16x3x3x3) padding=[1, 1, 1, 1] -> float32 8x16x8x8
    nn.relu#0(nn.conv2d#0) -> float32 8x16x8x8  follows
    nn.conv2d#1(nn.relu#0, %body: float32 16x16x3x3) padding=[1, 1, 1, 1] -> float32 8x16x8x8
    return nn.conv2d#1
""")
recipe = read_recipe("origin", table)
decided = plan(recipe, table)
for layer in ("nn.conv2d#0", "nn.conv2d#1"):
    print(explain(recipe, table, decided, table.by_id[layer]))
'''

# The same with a recipe of one's own, what is wrong with it, and the plan out and in again.
DECIDE = PLAN.replace('read_recipe("origin", table)', 'read_recipe(Source("own.rules", RULES), table)').replace(
    "import explain,", "import Source, explain,"
)
DECIDE = f"""
RULES = "skip nn.conv2d #0\\nmatch nn.conv2d #k, set layout HWNC, cast int4 unless skipped"
{DECIDE}
from corecast.plan import format_plan, parse_plan
assert parse_plan(format_plan(decided)) == decided
from corecast.lang import parse
from corecast.lint import lint
wrong = "let never = nn.conv2d where groups > 1 and groups < 1\\n" + RULES
print([finding.problem.slug for finding in lint(parse(wrong), read_recipe(Source("own.rules", wrong), table), table)])
"""

LOADED = """
import json, sys
import corecast.lang, corecast.model, corecast.plan, corecast.recipe, corecast.api.recipes
corecast.api.recipes.read_recipe("origin")
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="session")
def without_tvm(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with everything it needs except TVM."""
    return install(wheel, tmp_path_factory.mktemp("without_tvm"), without=TVM)


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel as `pip install --no-deps` leaves it, with lark, pydantic and pyyaml."""
    return install(wheel, tmp_path_factory.mktemp("bare"), without=(), only=DECIDING)


@pytest.fixture(params=["installed", "without_tvm"])
def anywhere(request: pytest.FixtureRequest) -> Installed:
    return request.getfixturevalue(request.param)


def test_the_code_in_use_is_the_wheel(anywhere: Installed) -> None:
    rooms = anywhere.python("import corecast; print(*corecast.__path__, sep='\\n')").splitlines()
    assert len(rooms) == 1
    assert rooms[0].startswith(str(anywhere.environment))


def test_one_environment_has_tvm_and_the_other_none(installed: Installed, without_tvm: Installed) -> None:
    find = "from importlib.util import find_spec; print(*(find_spec(name) is not None for name in ('tvm', 'tvm_ffi')))"
    assert installed.python(find).split() == ["True", "True"]
    assert without_tvm.python(find).split() == ["False", "False"]


def test_a_recipe_of_the_wheel_plans_and_explains(anywhere: Installed) -> None:
    told = anywhere.python(PLAN)
    stem, body = told.split("nn.conv2d#1 (weight body)\n")
    assert "  keep layout (skip nn.conv2d #0, line 2)\n" in stem
    assert "  set layout HWNC (line 3): applied\n" in body


def test_deciding_needs_lark_pydantic_and_pyyaml(bare: Installed) -> None:
    told = bare.python(DECIDE)
    assert "  keep layout (skip nn.conv2d #0, line 1)\n" in told
    assert "  cast int4 unless skipped (line 2): applied\n" in told
    assert told.splitlines()[-1] == "['unused-let']"


def test_versions_need_packaging_and_say_so(bare: Installed) -> None:
    """A recipe that bounds the version of what is there, and a pack, which has a version itself."""
    code = """
from corecast.api import Source, read_recipe
for source in (Source("own.rules", "requires lark >= 1\\nmatch nn.conv2d, keep"), "origin"):
    try:
        read_recipe(source)
    except ModuleNotFoundError as error:
        print(error.name)
"""
    assert bare.python(code).split() == ["packaging", "packaging"]


def test_planning_loads_no_tvm_no_numpy_and_no_onnx(installed: Installed) -> None:
    loaded = {name.split(".")[0] for name in json.loads(installed.python(LOADED))}
    assert loaded & {"tvm", "tvm_ffi", "numpy", "onnx", "ml_dtypes", "safetensors"} == set()


def test_the_console_script_lists_its_commands(anywhere: Installed) -> None:
    done = anywhere.run("corecast", "--help")
    assert done.returncode == 0, done.stderr
    assert {"check", "plan", "explain", "apply"} <= set(done.stdout.split())


def test_the_module_is_the_console_script(anywhere: Installed) -> None:
    by_name, by_module = (
        anywhere.run("corecast", "--help"),
        anywhere.run("python", "-I", "-m", "corecast.api", "--help"),
    )
    assert by_module.returncode == 0, by_module.stderr
    assert by_module.stdout.split("\n")[1:] == by_name.stdout.split("\n")[1:]


def test_check_accepts_a_shared_recipe_by_name(anywhere: Installed) -> None:
    done = anywhere.run("corecast", "check", "origin")
    assert done.returncode == 0, done.stderr
    assert "no problems" in done.stdout


def test_check_points_at_a_problem_in_a_file(anywhere: Installed) -> None:
    (anywhere.folder / "wrong.rules").write_text("match nn.conv2d #k, set layuot HWNC\n", encoding="utf-8")
    done = anywhere.run("corecast", "check", "wrong.rules")
    assert done.returncode == 2
    assert "wrong.rules:1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_line_that_says_nothing_sensible_is_the_users_mistake(anywhere: Installed) -> None:
    for arguments in (["check"], ["chekc", "origin"], ["check", "--jsno", "origin"]):
        done = anywhere.run("corecast", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "Traceback" not in done.stderr


NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,3,8,8] x) => (float[1,8,6,6] y)
{
    shape = Constant<value = int64[4] {8,3,3,3}>()
    w = ConstantOfShape(shape)
    c = Conv(x, w)
    y = Relu(c)
}
"""


def test_an_onnx_model_is_planned_converted_and_verified_without_tvm(without_tvm: Installed) -> None:
    onnx.save(onnx.parser.parse_model(NETWORK), without_tvm.folder / "network.onnx")
    (without_tvm.folder / "cast.rules").write_text("match nn.conv2d or nn.relu, cast float16\n", encoding="utf-8")
    for command, told in (
        ("plan cast.rules network.onnx --ir onnx", "2 of 2 layers change"),
        ("apply cast.rules network.onnx --weights random:0 -o out.onnx", "2 layers as decided"),
        ("verify out.onnx", "verdict: pass"),
    ):
        done = without_tvm.run("corecast", *command.split())
        assert done.returncode == 0, done.stderr
        assert told in done.stdout


def test_an_onnx_model_is_calibrated_and_quantized_without_tvm(without_tvm: Installed) -> None:
    folder = without_tvm.folder
    onnx.save(onnx.parser.parse_model(NETWORK), folder / "floats.onnx")
    (folder / "int8.rules").write_text("match nn.conv2d, quantize int8\n", encoding="utf-8")
    np.save(folder / "sample.npy", np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32))
    weights = "--weights random:0"
    for command, told in (
        (f"calibrate int8.rules floats.onnx --ir onnx {weights} --data sample.npy -o found.json", "ranges of"),
        (
            f"apply int8.rules floats.onnx {weights} --calibration found.json -o int8.onnx",
            "1 tensor quantized and 1 dequantized at run time",
        ),
        ("verify int8.onnx --layers", "verdict: pass"),
    ):
        done = without_tvm.run("corecast", *command.split())
        assert done.returncode == 0, done.stderr
        assert told in done.stdout


def test_a_command_that_needs_tvm_says_so_without_it(without_tvm: Installed) -> None:
    (without_tvm.folder / "model.onnx").write_bytes(b"")
    done = without_tvm.run("corecast", "count", "model.onnx")
    assert done.returncode == 2
    assert "apache-tvm" in done.stderr
    assert "--ir onnx" in done.stderr
    assert "Traceback" not in done.stderr
