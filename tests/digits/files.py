"""Write what the examples of docs/accuracy.md run on: `PYTHONPATH=tests python -m digits.files FOLDER`.

The network of the first fold, images that it was trained on, and those that it has not seen, with their labels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

from digits.data import all_images, fold
from digits.network import onnx_model, weights_of

SAMPLES, BATCH = 300, 60


def write(folder: Path) -> None:
    """Make the folder with `digits.onnx`, `known/`, `unseen/` and `labels.npy`."""
    known, unseen = fold(all_images(), 0)
    for name, pixels in (("known", known.pixels[:SAMPLES]), ("unseen", unseen.pixels)):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "images.npy", pixels)
    np.save(folder / "labels.npy", unseen.digits)
    onnx.save(onnx_model(weights_of(0), BATCH), folder / "digits.onnx")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
