"""Networks of PyTorch with seeded random weights: real depth and real operators, small inputs.

Each function gives a module in evaluation mode and the inputs to trace it with. All but the U-Net come from the
`transformers` package, built from its configurations; nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import transformers
from models.unet import UNet
from torch import Tensor, nn


@dataclass(frozen=True)
class Traced:
    """A module in evaluation mode, example inputs by the names of its `forward`, and the sizes that shall stay open."""

    module: nn.Module
    inputs: dict[str, Tensor]
    open_sizes: dict[str, dict[int, torch.export.Dim]] = field(default_factory=dict)


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
        return getattr(self.model(input_ids=tokens, attention_mask=mask), self.result)


class FromCausalTokens(Outputs):
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return getattr(self.model(input_ids=tokens, attention_mask=mask, use_cache=False), self.result)


def image_of(size: int, batch: int = 1) -> dict[str, Tensor]:
    return {"image": torch.randn(batch, 3, size, size)}


def classifier(model: nn.Module, size: int) -> Traced:
    return Traced(lively(FromImage(model, "logits"), image_of(size, 4)), image_of(size))


# The norm (or scale) behind which a residual branch joins its stream: training leaves it small.
_ENDS_A_BRANCH = (
    r"layers\.\d+\.layer\.(1|2)\.normalization\.weight|reduce_1x1\.normalization\.weight|project_bn\.weight"
    r"|layer_scale_parameter"
)


def lively(model: nn.Module, inputs: dict[str, Tensor]) -> nn.Module:
    """Weights that keep the size of the data, and batch norms that have seen some: no signal dies on its way.

    What a published network has from training; fresh ones start with weights of 0.02 and biases of nothing.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, (module.weight[0].numel()) ** -0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # EfficientNet's begin with next to nothing, and the image is lost on its way
            module.reset_running_stats()
            module.momentum = None
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            nn.init.normal_(module.bias, 0, 0.05)
    for name, parameter in model.named_parameters():
        if re.search(_ENDS_A_BRANCH, name):
            nn.init.constant_(parameter, 0.2)
    with torch.no_grad():
        model.train()(**inputs)
    return model.eval()


def resnet18() -> Traced:
    config = transformers.ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic"
    )
    return classifier(transformers.ResNetForImageClassification(config), 64)


def resnet50() -> Traced:
    return classifier(transformers.ResNetForImageClassification(transformers.ResNetConfig()), 64)


def mobilenet_v2() -> Traced:
    return classifier(transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config()), 64)


def efficientnet_b0() -> Traced:
    config = transformers.EfficientNetConfig(
        image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, dropout_rate=0.2
    )
    model = transformers.EfficientNetForImageClassification(config)
    # The published network pools whatever is left of the image; this class pools windows of 1280 by 1280 for that.
    model.efficientnet.pooler = nn.AdaptiveAvgPool2d(1)
    return classifier(model, 64)


def convnext_tiny() -> Traced:
    return classifier(transformers.ConvNextForImageClassification(transformers.ConvNextConfig()), 64)


def vit_tiny() -> Traced:
    """DeiT-tiny's sizes: 12 blocks of width 192."""
    config = transformers.ViTConfig(
        hidden_size=192, num_attention_heads=3, intermediate_size=768, image_size=64, patch_size=16
    )
    return classifier(transformers.ViTForImageClassification(config), 64)


def unet() -> Traced:
    return Traced(lively(UNet(), image_of(32, 4)), image_of(32))


def bert_mini() -> Traced:
    """Four layers of width 256: the smallest BERT published with a head of its own."""
    config = _bert_mini()
    tokens = tokens_of(config.vocab_size)
    return Traced(lively(FromTokens(transformers.BertForSequenceClassification(config), "logits"), tokens), tokens)


def _bert_mini() -> transformers.BertConfig:
    return transformers.BertConfig(
        hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024, vocab_size=30522
    )


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
    tokens = tokens_of(config.vocab_size)
    return Traced(lively(FromCausalTokens(transformers.LlamaForCausalLM(config), "logits"), tokens), tokens)


def tokens_of(vocabulary: int, batch: int = 1, length: int = 16) -> dict[str, Tensor]:
    tokens = torch.randint(0, vocabulary, (batch, length))
    return {"tokens": tokens, "mask": torch.ones_like(tokens)}


def resnet18_open_batch() -> Traced:
    return _with_open_batch(resnet18())


def bert_mini_open_batch() -> Traced:
    return _with_open_batch(bert_mini())


def _with_open_batch(traced: Traced) -> Traced:
    """The same, traced with a batch of two whose size stays open."""
    batch = torch.export.Dim("batch", min=1, max=64)
    inputs = {name: torch.cat([tensor, tensor]) for name, tensor in traced.inputs.items()}
    return Traced(traced.module, inputs, {name: {0: batch} for name in inputs})


def bert_masked() -> Traced:
    """Its decoder shares the weight of its word embeddings."""
    config = _bert_mini()
    tokens = tokens_of(config.vocab_size)
    return Traced(lively(FromTokens(transformers.BertForMaskedLM(config), "logits"), tokens), tokens)


def llama_bfloat16() -> Traced:
    traced = llama_tiny()
    return Traced(traced.module.to(torch.bfloat16), traced.inputs)


def resnet18_float16() -> Traced:
    traced = resnet18()
    return Traced(traced.module.half(), {name: tensor.half() for name, tensor in traced.inputs.items()})


class Spectrum(nn.Module):
    """A convolution of what `fft` makes of its input: an operator that TVM has no counterpart of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(torch.fft.rfft2(image).abs())


def spectrum() -> Traced:
    return Traced(Spectrum().eval(), image_of(32))


class TwoScales(nn.Module):
    """A U-Net's logits and, beside them, what a coarser head says: a nest of results."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = UNet(levels=2)
        self.coarse = nn.Conv2d(3, 2, 4, stride=4)

    def forward(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.fine(image), {"coarse": self.coarse(image)}


def two_scales() -> Traced:
    return Traced(lively(TwoScales(), image_of(32, 4)), image_of(32))


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
    "ResNet-18, open batch": resnet18_open_batch,
    "BERT-mini, open batch": bert_mini_open_batch,
    "BERT-mini, tied weights": bert_masked,
    "ResNet-18 in float16": resnet18_float16,
    "Llama in bfloat16": llama_bfloat16,
    "several results": two_scales,
    "spectrum": spectrum,
}


def make(name: str, seed: int = 0) -> Traced:
    """A network of the zoo, or a second member of a family, by its name, with the weights of a seed."""
    from models.families import SECOND

    torch.manual_seed(seed)
    return {**NETWORKS, **SECOND}[name]()
