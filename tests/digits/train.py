"""Train the networks of all folds with PyTorch and write their weights: `PYTHONPATH=tests python -m digits.train`.

Batch norms are folded into the convolutions before them, and the weights are rounded to float16, which halves the file;
the rounded ones are the network.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from digits.data import FOLDS, Images, all_images, fold
from digits.network import WEIGHTS

EPOCHS, BATCH = 60, 64


class Normed(nn.Module):
    """A convolution with a batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))

    def folded(self) -> tuple[Tensor, Tensor]:
        """The weight and the bias of one convolution that does the same."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        return self.conv.weight * scale[:, None, None, None], self.norm.bias - self.norm.running_mean * scale


class Network(nn.Module):
    """The network that `digits.network` states as ONNX."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Normed(1, 16, 3)
        self.first, self.second = Normed(16, 16, 3), Normed(16, 16, 3)
        self.third, self.fourth, self.shortcut = Normed(16, 32, 3, 2), Normed(32, 32, 3), Normed(16, 32, 1, 2)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = functional.relu(self.second(functional.relu(self.first(x))) + x)
        x = functional.relu(self.fourth(functional.relu(self.third(x))) + self.shortcut(x))
        return self.head(x.mean((2, 3)))

    def weights(self) -> dict[str, Tensor]:
        found = {}
        for name, module in self.named_children():
            pair = module.folded() if isinstance(module, Normed) else (module.weight, module.bias)
            found |= {f"{name}.weight": pair[0], f"{name}.bias": pair[1]}
        return found


def trained(images: Images, seed: int) -> Network:
    """A network trained on these images, each shifted by up to one pixel at every turn."""
    torch.manual_seed(seed)
    network = Network()
    pixels, digits = torch.from_numpy(images.pixels), torch.from_numpy(images.digits)
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=EPOCHS * (len(images) // BATCH))
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            x, y = torch.randint(0, 3, (2,)).tolist()
            shifted = functional.pad(pixels[chosen], (1, 1, 1, 1))[..., y : y + 8, x : x + 8]
            loss = functional.cross_entropy(network(shifted), digits[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def main() -> None:
    images, right, arrays = all_images(), 0, {}
    for number in range(FOLDS):
        seen, unseen = fold(images, number)
        network = trained(seen, number)
        with torch.no_grad():
            found = network(torch.from_numpy(unseen.pixels)).argmax(1).numpy()
            arrays |= {f"{number}/{name}": array.numpy() for name, array in network.weights().items()}
        right += int((found == unseen.digits).sum())
        print(f"fold {number}: {(found == unseen.digits).mean():.2%} of {len(unseen)} unseen images")
    print(f"all folds: {right / len(images):.2%} of {len(images)} images")
    np.savez_compressed(WEIGHTS, **{name: array.astype(np.float16) for name, array in arrays.items()})


if __name__ == "__main__":
    main()
