"""The command line where TVM has Relay: MODEL is a Relay module saved as JSON, and AutoTVM tunes its bundles."""

import json

import pytest
import tvm
from relay.relay_networks import chain, network

from corecast.adapters.relay import read_bundle, survey
from corecast.adapters.relay.tasks import TEMPLATE
from corecast.api.cli import main

HWNC = """
skip nn.conv2d #0
rule convolutions
  match nn.conv2d
  set layout HWNC unless skipped
  cast int8 -> int32 unless skipped
  tune tensorcore trials 32 even if skipped
"""
DONE, WRONG_INPUT = 0, 2


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with `model.json`, a chain of three convolutions, and give its status and output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.json").write_text(tvm.ir.save_json(chain(("a", 32), ("b", 32), ("c", 48))))
    (tmp_path / "case.rules").write_text(HWNC)

    def command(line: str) -> tuple[int, str, str]:
        status = main(line.split())
        return (status, *capsys.readouterr())

    return command


def test_resnet18_has_twelve_tasks(run, tmp_path):
    """Batch 8, int8, the stem skipped: eleven kernels of the original's template, and the stem's own."""
    (tmp_path / "resnet18.json").write_text(tvm.ir.save_json(network("resnet18_b8")))
    assert run("apply case.rules resnet18.json -o bundle")[0] == DONE
    status, out, err = run("tune bundle --target cuda:sm_80")
    rows = [line.split("   ") for line in out.splitlines() if ".cuda " in line]
    assert [row[0].strip() for row in rows] == [
        "nn.conv2d#0",
        "nn.conv2d#1..2, nn.conv2d#4..5",
        "nn.conv2d#3",
        "nn.conv2d#6",
        "nn.conv2d#8",
        "nn.conv2d#7, nn.conv2d#9..10",
        "nn.conv2d#11",
        "nn.conv2d#13",
        "nn.conv2d#12, nn.conv2d#14..15",
        "nn.conv2d#16",
        "nn.conv2d#18",
        "nn.conv2d#17, nn.conv2d#19..20",
    ]
    assert ["conv2d_nchw.cuda" in out, out.count(TEMPLATE)] == [True, 11]
    assert "int8 56x56x8x64" in out
    assert "computed by the tensor-core template: nn.conv2d#1..20\n" in out
    assert (
        "nn.conv2d#0 not: its layout is NCHW; it computes in float32; in int8 in_channels 3 is no multiple of 16; "
        "padding would add 4.33 times the work, and Relay pads up to 2 times\n"
    ) in out
    assert status == WRONG_INPUT
    assert "error[cannot-run-here]: measuring for cuda:sm_80 needs a GPU, and TVM finds none here" in err
    assert "Unable to detect CUDA" not in err
    assert not (tmp_path / "bundle" / "records").exists()


def test_one_layer_has_one_task_with_all_that_share_it(run):
    run("apply case.rules model.json -o bundle")
    status, out, _ = run("tune bundle --target cuda:sm_75 --layer b")
    assert [line.split()[0] for line in out.splitlines() if TEMPLATE in line] == ["nn.conv2d#1"]
    assert status == WRONG_INPUT


@pytest.mark.parametrize("target", ["llvm", "cuda:sm_70", "cuda:sm_90a"])
def test_a_target_without_the_template_is_refused(run, target):
    run("apply case.rules model.json -o bundle")
    status, out, err = run(f"tune bundle --target {target}")
    assert (status, out) == (WRONG_INPUT, "")
    assert "error[no-tensor-cores]" in err
    assert "cuda:sm_80" in err


def test_a_layer_that_is_not_marked_is_refused(run, tmp_path):
    (tmp_path / "case.rules").write_text("match nn.conv2d #0, tune tensorcore")
    run("apply case.rules model.json -o bundle")
    status, _, err = run("tune bundle --layer b")
    assert status == WRONG_INPUT
    assert "error[not-marked]: the plan marks no tuning for nn.conv2d#1" in err


def test_a_layer_without_a_task_is_told(run, tmp_path):
    from tvm.relay import testing

    (tmp_path / "mlp.json").write_text(tvm.ir.save_json(testing.mlp.get_workload(batch_size=1)[0]))
    (tmp_path / "case.rules").write_text("match nn.dense, tune tensorcore")
    run("apply case.rules mlp.json -o bundle")
    status, _, err = run("tune bundle --target cuda:sm_80")
    assert status == WRONG_INPUT
    assert "error[no-task]: AutoTVM has no task for nn.dense#0..2 on cuda:sm_80" in err


def test_a_model_is_read_planned_explained_and_converted(run, tmp_path):
    assert "nn.conv2d       3               3" in run("count model.json --op nn.conv2d")[1]
    assert run("layers model.json")[1].count("nn.conv2d#") == 3
    assert json.loads(run("layers model.json --json")[1])["ir"] == "relay"
    assert "nn.conv2d#1..2  layout NCHW -> HWNC, kernel HWOI" in run("plan case.rules model.json -o plan.yaml")[1]
    assert "nn.conv2d#0 (weight a" in run("explain case.rules model.json a")[1]
    assert run("check case.rules")[0] == DONE
    assert "relay.transform.LayoutConfig:\n  nn.conv2d#1..2: HWNC, HWOI" in run("compile case.rules model.json")[1]
    status, out, _ = run("apply model.json --plan plan.yaml -o bundle")
    assert status == DONE
    assert "realised:  2 layout transforms and 4 casts at run time; TVM converts the parameters when it builds" in out
    bundle = read_bundle(tmp_path / "bundle")
    assert [layer.data_layout for layer in survey(bundle.model).by_op["nn.conv2d"]] == ["NCHW", "HWNC", "HWNC"]


def test_a_script_is_written_for_the_model_itself(run, tmp_path):
    assert run("compile case.rules model.json --emit convert.py")[0] == DONE
    assert "HWNC" in (tmp_path / "convert.py").read_text()
    status, _, err = run("compile case.rules model.json --ir relax")
    assert status == WRONG_INPUT
    assert "error[other-ir]: the layers of model.json are those of a Relay module, not of a Relax one" in err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("\x08\x03", "not-a-model]: other is no module that TVM has saved as JSON"),
        ("{", "not-a-model]: other is no module of this TVM"),
        ('{"type": "relax.expr.Function"}', "no-relax]: other holds a Relax module, and this TVM is one with Relay"),
        (tvm.ir.save_json(tvm.runtime.convert([1])), "not-a-model]: other holds a Array, not a module"),
        (tvm.ir.save_json(tvm.IRModule()), "no-main]: other has no Relay function `main`"),
    ],
)
def test_another_file_is_named(run, tmp_path, content, problem):
    (tmp_path / "other").write_text(content)
    for command in ("plan case.rules other", "apply case.rules other -o bundle"):
        status, _, err = run(command)
        assert status == WRONG_INPUT
        assert f"error[{problem}" in err
    assert not (tmp_path / "bundle").exists()


def test_weights_and_shapes_are_for_onnx_files(run):
    assert "error[not-onnx]" in run("plan case.rules model.json --weights random:0")[2]


@pytest.mark.parametrize("command", ["verify", "run"])
def test_what_runs_modules_takes_relax_bundles_only(run, command):
    run("apply case.rules model.json -o bundle")
    status, _, err = run(f"{command} bundle")
    assert status == WRONG_INPUT
    assert f"error[relay-bundle]: `corecast {command}` takes bundles of Relax modules only" in err


def test_the_doctor_says_what_can_be_converted_here(run):
    status, out, _ = run("doctor")
    assert status == DONE
    assert "has Relay" in out
