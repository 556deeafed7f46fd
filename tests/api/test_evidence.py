"""Checks on data: batches of the model's size, labels, metrics of one's own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest

from corecast.adapters.relax import apply, prepare, read_bundle, survey, write_bundle
from corecast.api import CorecastError, Source, plan, read_recipe, verify_bundle
from corecast.api.evidence import Given, find_metric
from corecast.verify import Verification, by_metric

NETWORK = """
data: float32 4x3x8x8
nn.conv2d#0(data, %w0: float32 8x3x3x3) -> float32 4x8x6x6 @conv0
nn.relu#0(nn.conv2d#0) -> float32 4x8x6x6 @relu0
mean#0(nn.relu#0) axis=[2, 3] -> float32 4x8 @pool
nn.dense#0(mean#0, %w1: float32 8x5) -> float32 4x5 @fc
nn.softmax#0(nn.dense#0) axis=1 -> float32 4x5 @softmax
return nn.softmax#0
"""
ORIGINAL = networks.model_of(NETWORK)
# Ten samples for batches of four: the last batch is filled with copies, which must not count.
SAMPLES = np.random.default_rng(0).standard_normal((10, 3, 8, 8)).astype("float32")


def verified(folder: Path, rules: str, **given) -> Verification:
    prepared = prepare(ORIGINAL)
    table = survey(prepared)
    if not (folder / "bundle").exists():
        write_bundle(apply(plan(read_recipe(Source("case.rules", rules), table), table), prepared), folder / "bundle")
    return verify_bundle(read_bundle(folder / "bundle"), ORIGINAL, **given)


def answers() -> np.ndarray:
    """The classes that the original gives for the samples."""
    full = np.concatenate([SAMPLES, SAMPLES[:2]])
    parts = [networks.run(ORIGINAL, {"data": full[start : start + 4]})[0] for start in (0, 4, 8)]
    return np.concatenate(parts)[:10].argmax(-1)


def test_a_folder_of_samples_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    """Nine samples of ten labels right are 90%, although three batches of four were run."""
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "a.npy", SAMPLES[:7])
    for number, sample in enumerate(SAMPLES[7:]):
        np.save(tmp_path / "data" / f"b{number}.npy", sample)
    labels = answers()
    labels[3] = (labels[3] + 1) % 5
    np.save(tmp_path / "labels.npy", labels)
    rules = "expect accuracy drop <= 0.5%\nexpect accuracy >= 90%\nmatch nn.*, cast float16"
    found = verified(tmp_path, rules, data=tmp_path / "data", labels=tmp_path / "labels.npy")
    assert (found.verdict, found.score.original, found.score.converted) == ("pass", 0.9, 0.9)
    assert found.inputs == f"10 samples of {tmp_path / 'data'}"
    assert found.compared.startswith("outputs before the softmax")


def test_an_iterator_is_gone_through_once_and_kept(tmp_path: Path) -> None:
    """There are three models to run on it, and each layer to compare."""
    rules = "match nn.conv2d, cast float16"
    found = verified(tmp_path, rules, data=iter(SAMPLES), layers=True)
    assert (found.verdict, found.inputs) == ("pass", "10 samples")
    assert {error.layer for error in found.layers} >= {"nn.conv2d#0", "nn.softmax#0"}


def test_a_metric_sees_the_outputs_of_the_whole_model(tmp_path: Path) -> None:
    """Probabilities, and not what a softmax reads, which is compared where nobody looks at them."""
    sums = []

    def confidence(outputs: np.ndarray, _: None) -> float:
        sums.append(outputs.sum(-1))
        return float(outputs.max(-1).mean())

    found = verified(
        tmp_path, "expect metric drop <= 0.01\nmatch nn.conv2d, cast float16", data=SAMPLES, metric=confidence
    )
    assert (found.compared.partition(",")[0], found.score.name) == ("outputs", "confidence")
    for each in sums:
        np.testing.assert_allclose(each, np.ones(10), rtol=1e-5)


def test_a_metric_is_found_by_its_name_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `module:function`; a module that fails, or has no such function, is told with what it raised."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corecast_test_metrics.py").write_text("mean = lambda outputs, labels: outputs.mean()\nnumber = 3\n")
    (tmp_path / "corecast_test_broken.py").write_text("1 / 0\n")
    assert find_metric("corecast_test_metrics:mean")(np.ones(3), None) == 1
    for name in (
        "corecast_test_metrics:number",
        "corecast_test_metrics:sum",
        "corecast_test_broken:f",
        "no_such:f",
        "f",
    ):
        with pytest.raises(CorecastError) as caught:
            find_metric(name)
        assert caught.value.problems[0].slug == "bad-metric"


def test_a_metric_may_print_and_may_not_end_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it prints goes beside the result (`--json` is read by programs); an exit of its own is told as any error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corecast_test_exit.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "corecast_test_exits.py").write_text(
        "print('found')\ndef f(outputs, labels):\n    print('asked')\n    raise SystemExit(3)\n"
    )
    with pytest.raises(CorecastError, match="SystemExit: 3"):
        find_metric("corecast_test_exit:f")
    with pytest.raises(CorecastError, match="SystemExit: 3"):
        by_metric("f", find_metric("corecast_test_exits:f"), None).score([np.ones(3)])
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "found\nasked\n")


def test_labels_that_are_a_damaged_archive_are_told(tmp_path: Path) -> None:
    (tmp_path / "labels.npy").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(CorecastError, match="no labels can be read"):
        Given(data=SAMPLES, labels=tmp_path / "labels.npy").evidence(survey(ORIGINAL))


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        (Given(labels=np.zeros(10, int)), "no-data"),
        (Given(metric=lambda *_: 1.0), "no-data"),
        (Given(data=SAMPLES, labels="nowhere.npy"), "bad-labels"),
        (Given(data=SAMPLES.astype("float64")), "wrong-input"),
        (Given(data=[]), "no-data"),
    ],
)
def test_what_cannot_be_checked_on_is_told_before_anything_runs(given: Given, slug: str) -> None:
    """With its next step."""
    with pytest.raises(CorecastError) as caught:
        given.evidence(survey(ORIGINAL))
    assert {problem.slug for problem in caught.value.problems} == {slug}


def test_zeros_stay_zeros_in_eight_bit_floats(tmp_path: Path) -> None:
    """TVM's own code for CPUs makes 0.0078 of them; what is compared with is numpy's rounding."""
    rules = "match nn.conv2d, cast float8_e4m3fn"
    found = verified(tmp_path, rules, data=np.zeros((4, 3, 8, 8), "float32"))
    assert "float8_e4m3fn emulated" in found.compared
    assert found.error.max_relative == 0
