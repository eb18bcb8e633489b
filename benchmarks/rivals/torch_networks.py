"""The networks of `keras.applications` in PyTorch, layer for layer, and Keras's initial weights.

A module's path is its Keras layer's name: `conv2.block1.conv0` is `conv2_block1_0_conv`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

RESNETS = {"resnet50": (3, 4, 6, 3), "resnet152": (3, 8, 36, 3)}
DENSENETS = {"densenet201": (6, 12, 48, 32)}
GROWTH = 32


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with Keras's constants (its momentum is the share that stays)."""
    return nn.BatchNorm2d(channels, eps=1.001e-5, momentum=0.01)


class Stem(nn.Module):
    """A 7x7 convolution and a 3x3 pooling, both of stride 2."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=bias)
        self.bn = norm(64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of a quarter of the side."""
        # Activations are not negative, so that padding with -inf, PyTorch's, equals padding with 0.
        return max_pool2d(relu(self.bn(self.conv(x))), 3, stride=2, padding=1)


class Bottleneck(nn.Module):
    """A residual block, version 1: strides are in the first 1x1 convolutions, which all have a bias."""

    def __init__(self, inputs: int, filters: int, stride: int, projects: bool) -> None:
        super().__init__()
        if projects:
            self.conv0, self.bn0 = nn.Conv2d(inputs, 4 * filters, 1, stride), norm(4 * filters)
        self.projects = projects
        self.conv1, self.bn1 = nn.Conv2d(inputs, filters, 1, stride), norm(filters)
        self.conv2, self.bn2 = nn.Conv2d(filters, filters, 3, padding=1), norm(filters)
        self.conv3, self.bn3 = nn.Conv2d(filters, 4 * filters, 1), norm(4 * filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of four times as many channels as filters."""
        shortcut = self.bn0(self.conv0(x)) if self.projects else x
        x = relu(self.bn1(self.conv1(x)))
        x = relu(self.bn2(self.conv2(x)))
        return relu(shortcut + self.bn3(self.conv3(x)))


class DenseLayer(nn.Module):
    """One layer of a dense block: its features are appended to its input."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.bn0, self.conv1 = norm(inputs), nn.Conv2d(inputs, 4 * GROWTH, 1, bias=False)
        self.bn1, self.conv2 = norm(4 * GROWTH), nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`GROWTH` channels more."""
        new = self.conv2(relu(self.bn1(self.conv1(relu(self.bn0(x))))))
        return torch.cat([x, new], 1)


class Transition(nn.Module):
    """Half the channels, half the side."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.bn, self.conv = norm(inputs), nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of half the side."""
        return avg_pool2d(self.conv(relu(self.bn(x))), 2)


def classifier(features: dict[str, nn.Module], channels: int, head: tuple[int, ...]) -> nn.Sequential:
    """Features, global average, dense ReLU layers, one logit."""
    modules = features | {"average": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    for number, width in enumerate(head, start=1):
        modules |= {f"dense{number}": nn.Linear(channels, width), f"activation{number}": nn.ReLU()}
        channels = width
    return nn.Sequential(OrderedDict(modules | {"logit": nn.Linear(channels, 1)}))


def network(architecture: str, channels: int) -> nn.Sequential:
    """A network from patches (batch, channels, h, w) to log-odds (batch, 1), with Keras's initial weights."""
    if architecture in RESNETS:
        made = classifier(*_resnet(channels, RESNETS[architecture]), (256, 128))
    elif architecture in DENSENETS:
        made = classifier(*_densenet(channels, DENSENETS[architecture]), (256, 128))
    else:
        made = classifier(*_small_cnn(channels), (32,))
    return made.apply(_initialise)


def _resnet(channels: int, blocks: tuple[int, ...]) -> tuple[dict[str, nn.Module], int]:
    features: dict[str, nn.Module] = {"conv1": Stem(channels, bias=True)}
    width = 64
    for stage, count in enumerate(blocks):
        filters, stack = 64 * 2**stage, nn.Sequential()
        for number in range(1, count + 1):
            stride = 2 if stage and number == 1 else 1
            stack.add_module(f"block{number}", Bottleneck(width, filters, stride, projects=number == 1))
            width = 4 * filters
        features[f"conv{stage + 2}"] = stack
    return features, width


def _densenet(channels: int, blocks: tuple[int, ...]) -> tuple[dict[str, nn.Module], int]:
    features: dict[str, nn.Module] = {"conv1": Stem(channels, bias=False)}
    width = 64
    for stage, count in enumerate(blocks, start=2):
        layers = [(f"block{number + 1}", DenseLayer(width + number * GROWTH)) for number in range(count)]
        features[f"conv{stage}"] = stack = nn.Sequential()
        for name, layer in layers:
            stack.add_module(name, layer)
        width += count * GROWTH
        if stage <= len(blocks):
            features[f"pool{stage}"] = Transition(width)
            width //= 2
    return features | {"bn": norm(width), "relu": nn.ReLU()}, width


def _small_cnn(channels: int) -> tuple[dict[str, nn.Module], int]:
    features: dict[str, nn.Module] = {}
    for number, width in enumerate((24, 32, 48), start=1):
        features[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        features[f"norm{number}"] = nn.GroupNorm(8, width, eps=1e-3)
        features[f"relu{number}"] = nn.ReLU()
        if number == 2:
            features["pool"] = nn.MaxPool2d(2, ceil_mode=True)
        channels = width
    return features, channels


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
