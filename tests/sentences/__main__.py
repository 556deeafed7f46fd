"""Measure the encoder's table of docs/quantization.md: `PYTHONPATH=tests python -m sentences`."""

from __future__ import annotations

from documents import write_table

from sentences.encoder import SENTENCES, missing
from sentences.measure import FLOAT16, INT8, METHOD, by_onnxruntime, converted, encoder

ROWS = {"float16": (FLOAT16, None), "int8": (INT8, METHOD), "int8, no layer left out": ("use int8", METHOD)}


def main() -> None:
    if reason := missing():
        raise SystemExit(reason)
    megabytes = sum(array.nbytes for array in encoder()[0].parameters.values()) / 1e6
    lines = [
        f"| | dense layers | parameters, MB | least cosine of {len(SENTENCES)} | mean |",
        "| --- | --- | --- | --- | --- |",
        f"| float32 | | {megabytes:.1f} | | |",
    ]
    for name, (rules, method) in ROWS.items():
        found = converted(rules, method)
        layers = "{} of {}".format(*found.layers)
        least, mean = found.cosines.min(), found.cosines.mean()
        lines.append(f"| {name} | {layers} | {found.megabytes:.1f} | {least:.6f} | {mean:.6f} |")
        print(lines[-1], flush=True)
    for name, results in (("", True), (", results of products in float", False)):
        cosines = by_onnxruntime(results=results)
        lines.append(f"| ONNX Runtime, int8{name} | 36 of 36 | | {cosines.min():.6f} | {cosines.mean():.6f} |")
        print(lines[-1], flush=True)
    write_table("quantization.md", "sentences", lines)


if __name__ == "__main__":
    main()
