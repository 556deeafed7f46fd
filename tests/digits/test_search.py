"""A budget on the digits: the rules that a search writes keep it on images that were not calibrated on."""

from __future__ import annotations

from pathlib import Path

import pytest

from corecast.api.cli import main
from digits.files import write

pytest.importorskip("onnxruntime")


def test_the_rules_that_were_found_keep_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """int8 everywhere keeps the accuracy and costs a decibel too many; so some layers are short floats instead."""
    write(tmp_path / "digits")
    monkeypatch.chdir(tmp_path / "digits")
    target = ["--target", "cuda:sm_90a"]
    shown = ["--data", "unseen", "--labels", "labels.npy"]
    budget = ["--budget", "accuracy drop <= 0.5%", "--budget", "snr >= 42 dB", "--calibrate-on", "known"]
    tried = ["--try", "quantize int8", "--try", "cast float16"]
    model = ["digits.onnx", "--ir", "onnx", *target]
    assert main(["search", *model, *budget, *shown, *tried, "-o", "found.rules"]) == 0
    text = Path("found.rules").read_text(encoding="utf-8")
    assert "expect accuracy drop <= 0.5%\nexpect snr >= 42 dB\n" in text
    assert "  quantize int8\n" in text
    assert "  cast float16\n" in text
    assert "(second.weight): quantize int8 alone: accuracy drop" in text
    assert main(["calibrate", "found.rules", *model, "--data", "known", "-o", "calibration.json"]) == 0
    assert (
        main(["apply", "found.rules", "digits.onnx", *target, "--calibration", "calibration.json", "-o", "out.onnx"])
        == 0
    )
    capsys.readouterr()
    assert main(["verify", "out.onnx", *shown]) == 0
    assert "verdict: pass (what is expected is met)" in capsys.readouterr().out
