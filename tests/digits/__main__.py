"""Measure the table of docs/quantization.md, a row after the other: `PYTHONPATH=tests python -m digits`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from documents import write_table

from digits.measure import HARD_CAST, Logits, Trained, by_corecast, by_onnxruntime, in_float, networks, score

ROWS: dict[str, Callable[[Trained], Logits]] = {
    "float32": in_float,
    **{
        f"`use int8`, {method}": partial(by_corecast, rules="use int8", method=method)
        for method in ("min-max", "percentile 99.99", "entropy", "mse")
    },
    "`use int8 with weights = per_tensor`": partial(
        by_corecast, rules="use int8 with weights = per_tensor", method="percentile"
    ),
    "`use int8 with activations = int8`": partial(
        by_corecast, rules="use int8 with activations = int8", method="percentile"
    ),
    "`quantize int8 asymmetric`": partial(
        by_corecast, rules="match nn.conv2d or nn.dense, quantize int8 asymmetric", method="percentile"
    ),
    "`use int8`, `match add, keep dtype`": partial(
        by_corecast, rules="use int8\nmatch add, keep dtype", method="percentile"
    ),
    **{
        f"ONNX Runtime, {activations}, {method}": partial(by_onnxruntime, activations=activations, method=method)
        for activations, method in (
            ("uint8", "MinMax"),
            ("uint8", "Percentile"),
            ("uint8", "Entropy"),
            ("int8", "MinMax"),
        )
    },
    "`cast int8`, the hard cast": partial(by_corecast, rules=HARD_CAST),
}


def main() -> None:
    lines = [
        "| conversion | right, of 1,797 | accuracy | drop, points | SNR of the logits, dB |",
        "|---|---|---|---|---|",
    ]
    base = None
    for name, answer in ROWS.items():
        found = score({network: answer(network) for network in networks()})
        base = base or found
        drop = 100 * (base.accuracy - found.accuracy)
        snr = "" if name == "float32" else f"{found.snr:.1f}"
        lines.append(f"| {name} | {found.right} | {found.accuracy:.2%} | {drop:.2f} | {snr} |")
        print(lines[-1], flush=True)
    write_table("quantization.md", "digits", lines)


if __name__ == "__main__":
    main()
