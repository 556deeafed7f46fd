"""From PyTorch to compiled code in one process: `torch.export`, a recipe, TVM's own build.

Nothing touches the disk: the exported program is loaded as it is, converted, and built with the weights that it came
with. It needs the extra `torch`; without PyTorch it says so and ends well.
"""

from __future__ import annotations

import sys

import numpy as np

from corecast.api import Source, apply, describe, load, plan, prepare, read_recipe, survey
from corecast.backends import Runner, build
from corecast.model import find_target

RULES = Source("torch.rules", "match nn.conv2d, set layout NHWC\n")


def main() -> None:
    try:
        import torch
    except ModuleNotFoundError:
        sys.exit("PyTorch is not installed: pip install 'corecast[torch]'")

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(16, 16, 3, padding=1, groups=16),
        torch.nn.Conv2d(16, 8, 1),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    ).eval()
    image = torch.randn(1, 3, 32, 32)

    model = prepare(load(torch.export.export(network, (image,))))
    table = survey(model)
    decided = plan(read_recipe(RULES, table), table)
    print(describe(decided, table))

    converted = apply(decided, model).converted
    runner = Runner(build(converted.module, find_target("llvm")), converted.parameters)
    (result,) = runner(image.numpy())
    with torch.no_grad():
        expected = network(image).numpy()
    print(f"largest difference: {np.abs(result - expected).max() / np.abs(expected).max():.1e} of the largest value")


if __name__ == "__main__":
    main()
