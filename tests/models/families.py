"""Second members of the families that the shared recipes are for, with seeded random weights and small inputs.

VGG, DenseNet and SqueezeNet are written down after their papers; the others come from the `transformers` package.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import transformers
from models.torch_networks import FromCausalTokens, FromTokens, Traced, classifier, image_of, lively, tokens_of
from torch import Tensor, nn


class Vgg(nn.Module):
    """Simonyan and Zisserman, 2014: 3 by 3 convolutions, a pooling after each group, three dense layers."""

    def __init__(self, groups: tuple[tuple[int, ...], ...], classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for group in groups:
            for width in group:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 49, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(image), 1))


def _without_norms(network: nn.Module) -> Traced:
    """Weights twice as wide in variance: what each relu takes away, no norm puts back."""
    network = lively(network, image_of(64, 2))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight *= 2**0.5
    return Traced(network, image_of(64))


def vgg11() -> Traced:
    """Configuration A."""
    return _without_norms(Vgg(((64,), (128,), (256, 256), (512, 512), (512, 512))))


def _pre_activated(inputs: int, outputs: int, size: int) -> nn.Sequential:
    norm = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
    return nn.Sequential(norm, nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False))


class DenseNet(nn.Module):
    """Huang et al., 2016, with bottlenecks and compression: each layer reads all layers of its block before it."""

    def __init__(self, blocks: tuple[int, ...], growth: int = 32, classes: int = 1000) -> None:
        super().__init__()
        channels = 2 * growth
        stem = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        for number, depth in enumerate(blocks):
            layers = nn.ModuleList()
            for _ in range(depth):
                bottleneck = _pre_activated(channels, 4 * growth, 1)
                layers.append(nn.Sequential(bottleneck, _pre_activated(4 * growth, growth, 3)))
                channels += growth
            self.blocks.append(layers)
            if number < len(blocks) - 1:
                transition = _pre_activated(channels, channels // 2, 1)
                self.transitions.append(nn.Sequential(transition, nn.AvgPool2d(2)))
                channels //= 2
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for number, block in enumerate(self.blocks):
            for layer in block:
                x = torch.cat([x, layer(x)], 1)
            if number < len(self.transitions):
                x = self.transitions[number](x)
        return self.classifier(torch.relu(self.norm(x)).mean((2, 3)))


def densenet169() -> Traced:
    return Traced(lively(DenseNet((6, 12, 32, 32)), image_of(64, 4)), image_of(64))


class Fire(nn.Module):
    """A squeeze by 1 by 1, then two expansions side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """Iandola et al., 2016, version 1.0; its classifier is a convolution."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        fires = [Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool]
        fires += [Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool]
        self.features = nn.Sequential(nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pool, *fires, Fire(512, 64, 256))
        self.classifier = nn.Conv2d(512, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(self.classifier(self.features(image))).mean((2, 3))


def squeezenet1_0() -> Traced:
    return _without_norms(SqueezeNet())


def mobilenet_v1() -> Traced:
    return classifier(transformers.MobileNetV1ForImageClassification(transformers.MobileNetV1Config()), 64)


def convnext_v2_tiny() -> Traced:
    """As ConvNeXt, with a norm over the responses of a block in place of its scale."""
    config = transformers.ConvNextV2Config(depths=[3, 3, 9, 3], hidden_sizes=[96, 192, 384, 768])
    return classifier(transformers.ConvNextV2ForImageClassification(config), 64)


def distilbert() -> Traced:
    """Two of its six layers."""
    config = transformers.DistilBertConfig(dim=256, n_layers=2, n_heads=4, hidden_dim=1024)
    tokens = tokens_of(config.vocab_size)
    return Traced(
        lively(FromTokens(transformers.DistilBertForSequenceClassification(config), "logits"), tokens), tokens
    )


def mistral_tiny() -> Traced:
    """Two blocks of Mistral's shape at an eighth of its width: a sliding window, no tied weights."""
    config = transformers.MistralConfig(
        hidden_size=512,
        intermediate_size=1792,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        vocab_size=4096,
    )
    tokens = tokens_of(config.vocab_size)
    return Traced(lively(FromCausalTokens(transformers.MistralForCausalLM(config), "logits"), tokens), tokens)


SECOND: dict[str, Callable[[], Traced]] = {
    "VGG-11": vgg11,
    "DenseNet-169": densenet169,
    "SqueezeNet 1.0": squeezenet1_0,
    "MobileNetV1": mobilenet_v1,
    "ConvNeXtV2-tiny": convnext_v2_tiny,
    "DistilBERT, 2 layers": distilbert,
    "Mistral, 2 blocks": mistral_tiny,
}
