"""Networks of PyTorch with seeded random weights: real depth and real operators, small inputs.

Each function gives a module in evaluation mode and the inputs to trace it with. All but the U-Net come from the
`transformers` package, built from its configurations; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from models.unet import UNet
from torch import Tensor, nn


@dataclass(frozen=True)
class Traced:
    """A module in evaluation mode, and example inputs by the names of its `forward`."""

    module: nn.Module
    inputs: dict[str, Tensor]


class Outputs(nn.Module):
    """A `transformers` model that returns one tensor, as a deployed model does, instead of a dictionary."""

    def __init__(self, model: nn.Module, result: str) -> None:
        super().__init__()
        self.model = model
        self.result = result


class FromImage(Outputs):
    def forward(self, image: Tensor) -> Tensor:
        return getattr(self.model(pixel_values=image), self.result)


class FromTokens(Outputs):
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return getattr(self.model(input_ids=tokens, attention_mask=mask, use_cache=False), self.result)


class FromMaskedTokens(Outputs):
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return getattr(self.model(input_ids=tokens, attention_mask=mask), self.result)


def _image(size: int, batch: int = 1) -> dict[str, Tensor]:
    return {"image": torch.randn(batch, 3, size, size)}


def _classifier(model: nn.Module, size: int) -> Traced:
    return Traced(FromImage(_lively(model), "logits"), _image(size))


def _lively(model: nn.Module) -> nn.Module:
    """Statistics of the batch norms as after training: about one, and each its own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.normal_(module.running_mean, 0, 0.05)
            nn.init.normal_(module.bias, 0, 0.05)
    return model.eval()


def resnet18() -> Traced:
    config = transformers.ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic"
    )
    return _classifier(transformers.ResNetForImageClassification(config), 64)


def resnet50() -> Traced:
    return _classifier(transformers.ResNetForImageClassification(transformers.ResNetConfig()), 64)


def mobilenet_v2() -> Traced:
    return _classifier(transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config()), 64)


def efficientnet_b0() -> Traced:
    config = transformers.EfficientNetConfig(
        image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, dropout_rate=0.2
    )
    return _classifier(transformers.EfficientNetForImageClassification(config), 64)


def convnext_tiny() -> Traced:
    return _classifier(transformers.ConvNextForImageClassification(transformers.ConvNextConfig()), 64)


def vit_tiny() -> Traced:
    """DeiT-tiny's sizes: 12 blocks of width 192."""
    config = transformers.ViTConfig(
        hidden_size=192, num_attention_heads=3, intermediate_size=768, image_size=64, patch_size=16
    )
    return _classifier(transformers.ViTForImageClassification(config), 64)


def unet() -> Traced:
    return Traced(_lively(UNet()), _image(32))


def bert_mini() -> Traced:
    """Four layers of width 256: the smallest BERT published with a head of its own."""
    config = transformers.BertConfig(
        hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024, vocab_size=30522
    )
    model = transformers.BertForSequenceClassification(config).eval()
    return Traced(FromMaskedTokens(model, "logits"), _tokens(config.vocab_size))


def llama_tiny() -> Traced:
    """Two Llama blocks of TinyLlama's shape at a quarter of its width: grouped-query attention, rotary positions."""
    config = transformers.LlamaConfig(
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        vocab_size=4096,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    return Traced(FromTokens(model, "logits"), _tokens(config.vocab_size))


def _tokens(vocabulary: int, batch: int = 1, length: int = 16) -> dict[str, Tensor]:
    tokens = torch.randint(0, vocabulary, (batch, length))
    return {"tokens": tokens, "mask": torch.ones_like(tokens)}


NETWORKS: dict[str, Callable[[], Traced]] = {
    "ResNet-18": resnet18,
    "ResNet-50": resnet50,
    "MobileNetV2": mobilenet_v2,
    "EfficientNet-B0": efficientnet_b0,
    "ConvNeXt-tiny": convnext_tiny,
    "U-Net": unet,
    "ViT-tiny": vit_tiny,
    "BERT-mini": bert_mini,
    "Llama, 2 blocks": llama_tiny,
}


def make(name: str, seed: int = 0) -> Traced:
    """A network by its name, with the weights of a seed."""
    torch.manual_seed(seed)
    return NETWORKS[name]()
