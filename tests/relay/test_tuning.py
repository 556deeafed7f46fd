"""Tuning with AutoTVM: what is searched, what is kept, and what is an error. AutoTVM measures on the CPU here."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from relay.relay_networks import chain, plan_of
from tvm import autotvm, relay
from tvm.autotvm.env import GLOBAL_SCOPE
from tvm.autotvm.measure import MeasureErrorNo, MeasureResult
from tvm.ir import IRModule

from corecast.adapters.relay import Records, apply, extract, tune, tuning, unmeasurable
from corecast.adapters.relay.kernel import Outcome, Worker, _operand, convolution, reference, run
from corecast.adapters.relay.records import RecordsError
from corecast.adapters.relay.tasks import TEMPLATE
from corecast.api.cli import main
from corecast.model import TensorType, find_target
from corecast.verify.tuned import TuneError

HOST = find_target("llvm")


@pytest.fixture(scope="module")
def module() -> IRModule:
    """Two convolutions with a kernel each."""
    return chain(("a", 16), ("b", 32), data=(1, 16, 8, 8))


@pytest.fixture(scope="module")
def tasks(module):
    return extract(module, "llvm")


class Measures:
    """AutoTVM's measuring, without compilers: gives each candidate the next of the times, or None for a failure."""

    n_parallel = 2

    def __init__(self, *times: float | None) -> None:
        self.times = iter(times)
        self.measured: list[int] = []
        self.in_tuning: list[bool] = []

    def __call__(self, inputs):
        self.measured += [item.config.index for item in inputs]
        self.in_tuning.append(GLOBAL_SCOPE.in_tuning)
        return [self._result(next(self.times)) for _ in inputs]

    def _result(self, time: float | None) -> MeasureResult:
        if time is None:
            error = RuntimeError("first line\nno such instruction")
            return MeasureResult(("Traceback", error), MeasureErrorNo.COMPILE_HOST, 1.0, 1.0)
        return MeasureResult((time,), MeasureErrorNo.NO_ERROR, 1.0, 1.0)


@pytest.fixture
def measures(monkeypatch):
    def use(*times: float | None) -> Measures:
        measuring = Measures(*times)
        monkeypatch.setattr(tuning, "create_measure_batch", lambda *_: measuring)
        return measuring

    return use


@pytest.fixture
def outcomes(monkeypatch):
    """Let the worker answer with these, one for each run; the first is that of the untuned kernel."""

    def use(*answers: Outcome | Exception) -> None:
        left = iter(answers)

        def answer(*_) -> Outcome:
            found = next(left)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(Worker, "run", answer)

    return use


def right(seconds: float) -> Outcome:
    return Outcome(seconds, None)


WRONG = Outcome(1e-9, "difference 0.5 of the largest value, 0 allowed")


def test_the_fastest_candidate_that_is_right_and_faster_is_kept(module, tasks, measures, outcomes, tmp_path):
    measuring = measures(3e-6, None, 1e-6, 2e-6)
    outcomes(right(8e-6), WRONG, right(4e-6))
    progress = []
    records = Records(tmp_path)
    (result,) = tune(tasks[:1], module, HOST, records, trials=lambda _: 4, progress=progress.append)
    assert (result.layers, result.trials, result.failed) == (("nn.conv2d#0",), 4, 1)
    assert (round(result.before_us), round(result.after_us), result.kept_default) == (8, 4, None)
    assert [(at.done, at.trials, at.failed, round(at.best_us)) for at in progress] == [
        (1, 4, 0, 3),
        (2, 4, 1, 3),
        (3, 4, 1, 1),
        (4, 4, 1, 1),
    ]
    assert tasks[0].task in records
    assert tasks[1].task not in records
    ((known, measured),) = autotvm.record.load_from_file(str(records.file))
    assert (known.config.index, measured.costs) == (measuring.measured[3], (2e-6,))
    assert "no such instruction" in (tmp_path / "tuning.log").read_text()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((right(8e-6), WRONG), "the schedule that was found computes something else: difference 0.5"),
        ((right(8e-6), right(9e-6)), "no schedule was faster"),
        ((right(8e-6), ChildProcessError("the process ended")), "does not build in a module: the process ended"),
    ],
)
def test_the_default_stays_with_the_reason(module, tasks, measures, outcomes, tmp_path, answers, reason):
    measures(1e-6)
    outcomes(*answers)
    records = Records(tmp_path)
    (result,) = tune(tasks[:1], module, HOST, records, trials=lambda _: 1)
    assert reason in result.kept_default
    assert result.before_us == result.after_us
    assert tasks[0].task not in records


def test_what_tvm_cannot_build_untuned_is_infinitely_slow(module, tasks, measures, outcomes, tmp_path):
    measures(1e-6)
    outcomes(RuntimeError("no schedule"), right(1e-6))
    (result,) = tune(tasks[:1], module, HOST, Records(tmp_path), trials=lambda _: 1)
    assert (result.before_us, round(result.after_us)) == (float("inf"), 1)


def test_without_any_schedule_that_is_right_there_is_an_error(module, tasks, measures, outcomes, tmp_path):
    measures(1e-6)
    outcomes(WRONG, WRONG)
    with pytest.raises(TuneError, match=r"neither found nor default schedules are right: .*something else"):
        tune(tasks[:1], module, HOST, Records(tmp_path), trials=lambda _: 1)


def test_a_search_in_which_every_candidate_fails_is_an_error_with_the_compilers_message(
    module, tasks, measures, outcomes, tmp_path
):
    """AutoTVM itself ends it with a warning. The other task is tuned all the same."""
    measures(None, None, 1e-6, 1e-6)
    outcomes(right(2e-6), right(1e-6))
    records = Records(tmp_path)
    with pytest.raises(TuneError) as caught:
        tune(tasks, module, HOST, records, trials=lambda _: 2)
    assert "no schedule for conv2d_NCHWc.x86 (nn.conv2d#0): all 2 candidates failed: no such instruction" in str(
        caught.value
    )
    assert caught.value.exit_status == 1
    assert [result.layers for result in caught.value.results] == [("nn.conv2d#1",)]
    assert (tmp_path / "tuning.log").read_text().count("no such instruction") == 2


def test_a_task_with_a_record_is_not_tuned_again(module, tasks, measures, outcomes, tmp_path):
    records = Records(tmp_path)
    measures(1e-6, 1e-6)
    outcomes(right(2e-6), right(1e-6))
    tune(tasks[:1], module, HOST, records, trials=lambda _: 2)
    text = records.file.read_text()
    measures(1e-6, 1e-6)
    outcomes(right(2e-6), right(1e-6))
    assert [result.layers for result in tune(tasks, module, HOST, records, trials=lambda _: 2)] == [("nn.conv2d#1",)]
    assert records.file.read_text().startswith(text)
    assert tune(tasks, module, HOST, records) == []


def test_a_record_for_another_target_is_none_for_this_one(module, tasks, measures, outcomes, tmp_path):
    measures(1e-6)
    outcomes(right(2e-6), right(1e-6))
    tune(tasks[:1], module, HOST, Records(tmp_path), trials=lambda _: 1)
    assert extract(module, "llvm -mcpu=x86-64-v3")[0].task not in Records(tmp_path)


def test_a_search_ends_early_where_nothing_better_comes(module, tasks, measures, outcomes, tmp_path):
    measuring = measures(3e-6, 1e-6, 2e-6, 2e-6, 2e-6, 2e-6, 2e-6, 2e-6)
    outcomes(right(2e-6), right(1e-6))
    (result,) = tune(tasks[:1], module, HOST, Records(tmp_path), trials=lambda _: 8, early_stop=4)
    assert result.trials == len(measuring.measured) == 6


def test_a_seed_decides_what_is_tried_and_the_process_keeps_its_own_numbers(
    module, tasks, measures, outcomes, tmp_path
):
    tried = []
    for number, seed in enumerate((0, 0, 1)):
        measuring = measures(*[1e-6] * 6)
        outcomes(right(2e-6), right(3e-6))
        np.random.seed(7)
        tune(tasks[:1], module, HOST, Records(tmp_path / str(number)), trials=lambda _: 6, seed=seed)
        tried.append(measuring.measured)
        assert np.random.randint(1000) == np.random.RandomState(7).randint(1000)
    assert tried[0] == tried[1] != tried[2]


def test_templates_know_that_they_are_tuned_and_afterwards_that_they_are_not(module, tasks, measures, tmp_path):
    measuring = measures()  # runs out of times: the search breaks off
    with pytest.raises(TuneError, match="the search broke off"):
        tune(tasks[:1], module, HOST, Records(tmp_path), trials=lambda _: 1)
    assert measuring.in_tuning == [True]
    assert GLOBAL_SCOPE.in_tuning is False


def test_a_log_that_cannot_be_read_is_an_error_with_its_line(tasks, tmp_path):
    (tmp_path / "autotvm.json").write_text('{"input": 1}\n')
    with pytest.raises(RecordsError, match=r"autotvm\.json, line 1, is no record of this AutoTVM"):
        tasks[0].task in Records(tmp_path)  # noqa: B015


class Gpu:
    def __init__(self, version: str | None) -> None:
        self.exist = version is not None
        self.compute_version = version


@pytest.mark.parametrize(
    ("target", "version", "problem"),
    [
        ("cuda:sm_80", None, "needs a GPU, and TVM finds none here"),
        ("cuda:sm_80", "9.0", "needs such a GPU, and this one is sm_90"),
        ("cuda:sm_90", "9.0", None),
        ("llvm", None, None),
    ],
)
def test_a_target_is_measured_on_itself_only(monkeypatch, target, version, problem):
    monkeypatch.setattr(tvm, "cuda", lambda _: Gpu(version))
    found = unmeasurable(find_target(target))
    assert (found is None) if problem is None else problem in found.message


# ── the kernels themselves ───────────────────────────────────────────────────────────────────────────────────────────


def one_convolution(data=(1, 8, 9, 9), kernel=(8, 8, 3, 3), dtype="float32", **attributes) -> IRModule:
    x, w = relay.var("x", shape=data, dtype=dtype), relay.var("w", shape=kernel, dtype=dtype)
    call = relay.nn.conv2d(x, w, kernel_size=(3, 3), channels=8, **attributes)
    return relay.transform.InferType()(IRModule.from_expr(call))


NHWC = {"data": (1, 9, 9, 8), "kernel": (3, 3, 8, 8), "data_layout": "NHWC", "kernel_layout": "HWIO"}

CASES = {
    "plain": {},
    "NHWC": NHWC,
    "strided and padded on one side": {"strides": (2, 1), "padding": (0, 1, 2, 1)},
    "dilated": {"dilation": (2, 1)},
    "grouped": {"kernel": (8, 4, 3, 3), "groups": 2},
    "depthwise": {"kernel": (8, 1, 3, 3), "groups": 8},
    "int8 into int32": {"dtype": "int8", "out_dtype": "int32"},
    "int8 that wraps around": {"dtype": "int8", "out_dtype": "int8"},
}


@pytest.mark.parametrize("case", CASES)
def test_numpy_computes_what_tvm_computes(case):
    computed = convolution(one_convolution(**CASES[case]), "nn.conv2d#0")
    outcome = run(computed, "llvm", None)
    assert outcome.wrong is None
    assert outcome.seconds > 0


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_another_answer_is_told(monkeypatch, dtype):
    """The twin: one element of many is off by little."""

    def off(*arguments):
        result = reference(*arguments)
        result[0, 3, 1, 1] += max(1, np.abs(result).max() * 1e-3)
        return result

    monkeypatch.setattr("corecast.adapters.relay.kernel.reference", off)
    computed = convolution(one_convolution(dtype=dtype, out_dtype="int32" if dtype == "int8" else ""), "nn.conv2d#0")
    assert "of the largest value" in run(computed, "llvm", None).wrong


def test_a_packed_layout_is_no_question_for_numpy():
    packed = convolution(one_convolution(), "nn.conv2d#0")
    packed = type(packed)(**{**packed.__dict__, "data_layout": "NCHW4c", "data": TensorType(dtype="int8", shape=(1,))})
    with pytest.raises(ValueError, match="NCHW4c"):
        reference(packed, np.zeros((1, 2, 9, 9, 4)), np.zeros((8, 8, 3, 3)))


def test_four_bits_are_handed_over_in_eight():
    """numpy has no int4; a converted module casts to it as well."""
    computed = convolution(one_convolution(dtype="int4", out_dtype="int32"), "nn.conv2d#0")
    main = tvm.ir.load_json(computed.module)["main"]
    assert [var.checked_type.dtype for var in main.params] == ["int8", "int8"]
    assert [argument.checked_type.dtype for argument in main.body.args] == ["int4", "int4"]
    values = _operand(np.random.default_rng(0), computed.data)
    assert (values.dtype, values.min(), values.max()) == (np.int8, -8, 7)


def test_a_worker_goes_on_after_a_crash(tmp_path):
    """TVM's reader takes the process with it; the next convolution gets a process of its own."""
    computed = convolution(one_convolution(), "nn.conv2d#0")
    broken = type(computed)(**{**computed.__dict__, "module": "{"})
    with Worker(tmp_path / "log") as worker:
        with pytest.raises(ChildProcessError):
            worker.run(broken, "llvm", None)
        assert worker.run(computed, "llvm", None).wrong is None


# ── with AutoTVM's own processes ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_bundle_is_tuned_on_this_cpu_and_not_again(tmp_path, monkeypatch, capsys):
    """Candidates are compiled, timed and compared for real; whatever is found counts as faster."""
    monkeypatch.setattr(tuning, "_untuned", lambda *_: float("inf"))
    module = chain(("a", 16), data=(1, 16, 8, 8))
    (tmp_path / "model.json").write_text(tvm.ir.save_json(module))
    (tmp_path / "case.rules").write_text("match nn.conv2d, tune tensorcore trials 2")
    bundle = str(tmp_path / "bundle")
    assert main(["apply", str(tmp_path / "case.rules"), str(tmp_path / "model.json"), "-o", bundle]) == 0
    capsys.readouterr()
    assert main(["tune", bundle]) == 0
    out = capsys.readouterr().out
    assert "2 of 2   does not build" in out
    file = tmp_path / "bundle" / "records" / "autotvm.json"
    with autotvm.apply_history_best(str(file)), tvm.transform.PassContext(opt_level=3):
        relay.build(module, target="llvm")  # the file is one that TVM takes
    before = file.read_text()
    assert before.count("\n") == 1
    assert main(["tune", bundle, "--trials", "8", "--records", str(tmp_path / "records.db")]) == 2
    assert "are for Relax, and this bundle is Relay's" in capsys.readouterr().err
    assert main(["tune", bundle, "--trials", "8"]) == 0
    assert "every task has a record" in capsys.readouterr().out
    assert file.read_text() == before


@pytest.mark.gpu
@pytest.mark.skipif(not tvm.cuda(0).exist, reason="no NVIDIA GPU")
def test_the_template_is_tuned_on_the_gpu(tmp_path):
    """The original's own: HWNC in int8, found right by numpy."""
    target = find_target(f"cuda:sm_{tvm.cuda(0).compute_version.replace('.', '')}")
    module = chain(("a", 64), data=(8, 64, 14, 14))
    converted = apply(plan_of("match nn.conv2d, set layout HWNC, cast int8 -> int32", module), module).converted
    found = extract(converted, tuning.target_text(target))
    (result,) = tune(found, converted, target, Records(tmp_path), trials=lambda _: 16)
    assert result.workload == TEMPLATE
    assert result.failed < result.trials
    assert result.after_us <= result.before_us
