"""scikit-learn's digits, in folds: each image is unseen by exactly one of the networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

FOLDS = 5


@dataclass(frozen=True)
class Images:
    """Images, float32 Nx1x8x8 from 0 to 1, and the digits that they show."""

    pixels: NDArray[np.float32]
    digits: NDArray[np.int64]

    def __getitem__(self, chosen: NDArray[np.bool_] | slice) -> Images:
        return Images(self.pixels[chosen], self.digits[chosen])

    def __len__(self) -> int:
        return len(self.digits)


def all_images() -> Images:
    """The 1,797 images, in a seeded order: those of one writer stand together in the data set."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    pixels = (bunch.images[order, None] / 16).astype(np.float32)
    return Images(pixels, bunch.target[order])


def fold(images: Images, number: int) -> tuple[Images, Images]:
    """What the network of a fold was trained on, and what it has never seen: every fifth image."""
    unseen = np.arange(len(images)) % FOLDS == number
    return images[~unseen], images[unseen]
