"""Verdicts: what passes, what fails, and what only seems to pass."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan

import numpy as np
import pytest

from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import TensorType, parse_table
from corecast.plan import Plan, plan
from corecast.recipe import METRICS
from corecast.verify import (
    Comparison,
    Evidence,
    InputError,
    Score,
    ScoreError,
    Scorer,
    Verification,
    Whole,
    by_metric,
    check_inputs,
    difference,
    is_forgiving,
    measured,
    seeded_inputs,
    tolerance_of,
    top1,
    verify,
)

TABLE = parse_table(
    "data: float32 1x4x8x8\n"
    'nn.conv2d#0(data, %w: float32 4x4x1x1) data_layout="NCHW" kernel_layout="OIHW" -> float32 1x4x8x8 follows\n'
    "return nn.conv2d#0\n"
)


def planned(request: str, *expected: str) -> Plan:
    lines = [*(f"expect {item}" for item in expected), f"match nn.conv2d, {request}"]
    return plan(read_recipe(Source("case.rules", "\n".join(lines))), TABLE)


def answering(value: float):
    """A model that gives the same for everything."""
    return lambda inputs: [np.full(4, value) for _ in inputs]


def judged(request: str, converted: float, control: float, layer: str | None = "nn.conv2d#0") -> Verification:
    """A model whose original answers 1, its conversion and its control something else."""
    return verify(
        answering(1.0),
        answering(converted),
        {layer: answering(control)} if layer else {},
        evidence=Evidence([Whole({"data": np.zeros(1)})]),
        plan=planned(request),
        seed=0,
        compared="outputs",
    )


def test_equal_answers_and_a_control_that_sees_pass() -> None:
    """The only way to pass."""
    assert judged("set layout HWNC", 1.0, 1.5).verdict == "pass"


def test_a_layout_must_agree_to_one_in_ten_thousand() -> None:
    """Layouts change the order of summation and nothing else."""
    assert judged("set layout HWNC", 1.0 + 2e-4, 1.5).verdict == "fail"


def test_a_control_that_sees_nothing_is_vacuous() -> None:
    """A network whose output saturates agrees with every conversion."""
    verification = judged("set layout HWNC", 1.0, 1.0)
    assert (verification.verdict, "disturbed" in verification.reason) == ("vacuous", True)


def test_a_control_that_is_not_seen_is_followed_by_another() -> None:
    """One layer may be hidden by what stands behind it; the check is vacuous only if all of them are."""
    verification = verify(
        answering(1.0),
        answering(1.0),
        {"nn.conv2d#0": answering(1.0), "nn.conv2d#1": answering(1.5)},
        evidence=Evidence([Whole({"data": np.zeros(1)})]),
        plan=planned("set layout HWNC"),
        seed=0,
        compared="outputs",
    )
    assert (verification.verdict, verification.control_layer) == ("pass", "nn.conv2d#1")


def test_without_a_layer_to_disturb_the_check_is_vacuous() -> None:
    """Nothing changed, so nothing could go wrong."""
    assert judged("keep", 1.0, 1.0, layer=None).verdict == "vacuous"


def test_an_integer_cast_never_passes() -> None:
    """However close it comes: there is no scale, and so no bound."""
    assert judged("cast int8", 1.0, 1.5).verdict == "hard-cast"


def test_the_tolerance_is_that_of_the_coarsest_dtype() -> None:
    """bfloat16 has three digits less than float16, and an accumulator counts too."""
    bounds = [
        tolerance_of(planned(request))
        for request in ("set layout HWNC", "cast float16", "cast bfloat16", "cast float16 -> bfloat16", "cast int8")
    ]
    assert bounds == [1e-4, 1e-2, 8e-2, 8e-2, None]


def test_answers_that_are_not_finite_fail() -> None:
    """Overflow in float16 is the commonest way for a cast to break a model."""
    assert judged("cast float16", inf, 1.5).verdict == "fail"


def test_a_reference_that_is_not_finite_proves_nothing() -> None:
    """The original's own overflow is said, not compared."""
    with pytest.raises(ValueError, match="not finite"):
        difference([np.array([inf])], [np.array([inf])])


def test_outputs_of_other_shapes_cannot_be_compared() -> None:
    """A transposed output is no rounding error."""
    with pytest.raises(ValueError, match="2x3"):
        difference([np.zeros((2, 3))], [np.zeros((3, 2))])


def test_differences_of_known_vectors() -> None:
    """The three measures on a case that can be computed by hand."""
    found = difference([np.array([4.0, 0.0])], [np.array([4.0, 3.0])])
    assert found.max_relative == pytest.approx(0.75)
    assert found.cosine == pytest.approx(0.8)
    assert found.snr_db == pytest.approx(10 * np.log10(16 / 9))


TYPES = {"data": TensorType(dtype="float32", shape=(1, 4)), "ids": TensorType(dtype="int64", shape=(1, 2))}


def test_inputs_depend_on_the_seed_and_on_their_own_name_only() -> None:
    """Another order or another input beside it changes nothing."""
    first = seeded_inputs(TYPES, 7)
    alone: Mapping[str, np.ndarray] = seeded_inputs({"ids": TYPES["ids"]}, 7)
    assert np.array_equal(first["ids"], alone["ids"])
    assert not np.array_equal(first["data"], seeded_inputs(TYPES, 8)["data"])


def test_open_sizes_get_numbers_and_equal_names_equal_ones() -> None:
    """A first axis is a batch; what stands behind it is as long as a small image."""
    inputs = seeded_inputs(
        {
            "image": TensorType(dtype="float32", shape=("n", 3, "h", "w")),
            "scale": TensorType(dtype="float32", shape=("n", "h")),
        },
        0,
    )
    assert {name: array.shape for name, array in inputs.items()} == {"image": (2, 3, 32, 32), "scale": (2, 32)}


@pytest.mark.parametrize("shape", [None, ("2 * n", 4)])
def test_a_size_that_cannot_be_chosen_needs_a_shape(shape) -> None:
    """And the message says how to give it."""
    with pytest.raises(InputError, match="--shape data="):
        seeded_inputs({"data": TensorType(dtype="float32", shape=shape)}, 0)


def test_every_input_that_does_not_fit_is_named() -> None:
    """All at once, with what the model takes."""
    with pytest.raises(InputError) as caught:
        check_inputs({"data": np.zeros((1, 5), "float32"), "extra": np.zeros(1)}, TYPES)
    assert [problem.slug for problem in caught.value.problems] == ["unknown-input", "wrong-input", "missing-input"]


def test_a_model_that_rounds_itself_widens_the_tolerance() -> None:
    """The coarsest of its dtypes and the plan's; whole numbers allow nothing of their own."""
    layout = planned("set layout HWNC")
    bounds = [tolerance_of(layout, dtypes) for dtypes in ((), ("float16",), ("bfloat16", "float16"), ("int4",))]
    assert bounds == [1e-4, 1e-2, 8e-2, 1e-4]
    assert tolerance_of(planned("cast int8"), ("float16",)) is None


# ── what a recipe expects ────────────────────────────────────────────────────────────────────────────────────────────

ANSWERS = np.array([[4.0, 1.0], [3.0, 2.0], [0.0, 5.0], [1.0, 4.0]])  # classes 0, 0, 1, 1
LABELS = np.array([0, 0, 1, 1])


def answered(request: str, *expected: str, converted: np.ndarray, scorer: Scorer | None = None) -> Verification:
    """A model that answers `ANSWERS`, a conversion that answers otherwise, and a control whose answers are reversed.

    They are asked in two batches of two.
    """
    return verify(
        lambda batch: [ANSWERS[batch["at"]]],
        lambda batch: [converted[batch["at"]]],
        {"nn.conv2d#0": lambda batch: [converted[batch["at"], ::-1]]},
        evidence=Evidence([Whole({"at": np.array([0, 1])}), Whole({"at": np.array([2, 3])})], scorer=scorer),
        plan=planned(request, *expected),
        seed=0,
        compared="outputs",
    )


def test_what_is_expected_is_judged_and_nothing_else() -> None:
    """A third of the largest value is far beyond what float16 may do by itself; here it is what the recipe allows."""
    noisy = ANSWERS + 0.1
    verification = answered("cast float16", "cosine >= 0.99", "snr >= 20 dB", converted=noisy)
    assert verification.verdict == "pass"
    assert [item.met for item in verification.judged] == [True, True]
    assert [item.place for item in verification.judged] == ["line 1", "line 2"]
    assert verification.tolerance is None
    assert answered("cast float16", converted=noisy).verdict == "fail"


def test_the_first_expectation_that_is_missed_fails() -> None:
    """And the verdict says which one, by how much."""
    verification = answered("cast float16", "cosine >= 0.9", "max error <= 1%", converted=ANSWERS + 0.1)
    assert (verification.verdict, verification.reason) == ("fail", "max error is 2%, and max error <= 1% is expected")
    assert verification.judged[1].spent == pytest.approx(2)


def test_an_expectation_that_cannot_fail_is_vacuous() -> None:
    """Reversed answers have a cosine of 0.39 to the right ones."""
    verification = answered("cast float16", "cosine >= 0.3", converted=ANSWERS)
    assert (verification.verdict, "meets what is expected" in verification.reason) == ("vacuous", True)


def test_accuracy_is_that_of_all_batches_together() -> None:
    """One of four answers turned over is a drop of a quarter, however near the numbers are."""
    turned = ANSWERS.copy()
    turned[1] = [2.0, 3.0]
    held = answered("cast float16", "accuracy drop <= 25%", converted=turned, scorer=top1(LABELS))
    missed = answered("cast float16", "accuracy drop <= 20%", "accuracy >= 70%", converted=turned, scorer=top1(LABELS))
    assert (held.verdict, missed.verdict) == ("pass", "fail")
    assert str(held.score) == "top-1 accuracy of 4 labels: 100.00% before, 75.00% after"
    assert held.score.control == 0.25
    assert [item.met for item in missed.judged] == [False, True]


def test_a_control_that_gives_no_numbers_is_seen() -> None:
    """A disturbed model that overflows has no accuracy that could be compared, and is plainly wrong."""
    verification = verify(
        lambda _: [ANSWERS],
        lambda _: [ANSWERS],
        {"nn.conv2d#0": lambda _: [ANSWERS + inf]},
        evidence=Evidence([Whole({})], scorer=top1(LABELS)),
        plan=planned("cast float16", "accuracy drop <= 1%"),
        seed=0,
        compared="outputs",
    )
    assert (verification.verdict, verification.score.control) == ("pass", None)


def test_an_accuracy_without_labels_is_no_pass() -> None:
    """Whatever else was met: what was promised was not looked at."""
    verification = answered("cast float16", "accuracy drop <= 0.5%", "cosine >= 0.99", converted=ANSWERS)
    assert verification.verdict == "cannot-run-here"
    assert "--labels" in verification.reason
    assert verification.error is not None
    assert answered("cast float16", "accuracy >= 1%", "snr >= 99", converted=ANSWERS + 0.1).verdict == "fail"


def test_no_expectation_makes_a_hard_cast_a_pass() -> None:
    """There is no scale, so what holds for these inputs says nothing of others; what fails, fails."""
    assert answered("cast int8", "cosine >= 0.5", converted=ANSWERS).verdict == "hard-cast"
    assert answered("cast int8", "cosine >= 0.9", converted=ANSWERS[:, ::-1]).verdict == "fail"


def test_a_metric_of_ones_own_is_given_all_outputs_and_the_labels() -> None:
    """More is better; its own unit is what `metric drop` is bounded in."""
    seen = []

    def points(outputs: np.ndarray, labels: np.ndarray) -> float:
        seen.append(outputs.shape)
        return 100 * float(np.mean(outputs.argmax(-1) == labels))

    scorer = by_metric("points", points, LABELS)
    verification = answered("cast float16", "metric drop <= 1", converted=ANSWERS + 0.1, scorer=scorer)
    assert (verification.verdict, set(seen)) == ("pass", {(4, 2)})
    share = answered("cast float16", "accuracy drop <= 1%", converted=ANSWERS, scorer=scorer)
    assert (share.verdict, "metric drop" in share.reason) == ("cannot-run-here", True)


@pytest.mark.parametrize(
    ("scorer", "slug"),
    [
        (lambda: top1(np.array([0, 1])), "bad-labels"),
        (lambda: top1(np.array([0, 0, 1, 2])), "bad-labels"),
        (lambda: top1(np.array([0.0, 0.0, 1.0, 1.0])), "bad-labels"),
        (lambda: by_metric("m", lambda *_: nan, None), "bad-metric"),
        (lambda: by_metric("m", lambda: 1.0, None), "bad-metric"),
    ],
)
def test_labels_and_metrics_that_do_not_fit_are_told(scorer, slug: str) -> None:
    """Before anything is concluded from them."""
    with pytest.raises(ScoreError) as caught:
        answered("cast float16", converted=ANSWERS, scorer=scorer())
    assert caught.value.problems[0].slug == slug


def test_batches_add_up_to_what_all_of_them_come_to_at_once() -> None:
    """Whatever the sizes of the batches; several outputs too."""
    random = np.random.default_rng(0)
    one, other = ([random.normal(size=(9, 3)), 100 * random.normal(size=(9,))] for _ in range(2))
    parts = Comparison()
    for batch in (slice(0, 4), slice(4, 5), slice(5, 9)):
        parts.add([array[batch] for array in one], [array[batch] for array in other])
    whole = difference(one, other)
    assert parts.difference.model_dump() == pytest.approx(whole.model_dump())


def test_every_metric_that_may_be_expected_is_measured() -> None:
    """Or a recipe could never pass."""
    values = measured(difference([ANSWERS], [ANSWERS]), Score(name="accuracy", original=1.0, converted=1.0))
    assert values.keys() == METRICS.keys()


def test_a_quantized_model_is_asked_for_a_cosine_where_its_recipe_says_nothing() -> None:
    """A stated default, which one disturbed layer may be within; what the recipe says takes its place."""
    assert answered("quantize int8", converted=ANSWERS + 0.1).verdict == "pass"
    verification = answered("quantize int8", converted=ANSWERS + 3)
    assert verification.verdict == "fail"
    assert "cosine >= 0.99 is asked of a quantized model" in verification.reason
    assert "judge it on such, with `--data DIR`" in verification.reason
    assert "--data" not in answered("cast float16", converted=ANSWERS + 3).reason
    assert answered("quantize int8", "cosine >= 0.9", converted=ANSWERS + 1).verdict == "pass"
    assert is_forgiving(planned("quantize int8"))
    assert not is_forgiving(planned("cast float16"))
