"""mdistiller's CIFAR networks as plain functions of named weights.

A ``Weights`` makes up each weight when a network first asks for it, so one run gives
the keys and shapes of a checkpoint as well as the output.
"""

import torch
import torch.nn.functional as F


class Weights:
    """The layers of a network in eval mode, and its state dict so far."""

    def __init__(self):
        self.state = {}
        self.random = torch.Generator().manual_seed(0)

    def get(self, name, *shape, center=0.0, width=1.0):
        if name not in self.state:
            noise = torch.rand(shape, generator=self.random) - 0.5
            self.state[name] = center + 2 * width * noise
        assert self.state[name].shape == shape
        return self.state[name]

    def conv(self, x, name, out, kernel, stride=1, groups=1, bias=False):
        fan_in = x.shape[1] // groups * kernel**2
        shape = (out, x.shape[1] // groups, kernel, kernel)
        weight = self.get(f'{name}.weight', *shape, width=(6 / fan_in) ** 0.5)
        bias = self.get(f'{name}.bias', out) if bias else None
        return F.conv2d(x, weight, bias, stride, kernel // 2, groups=groups)

    def bn(self, x, name):
        channels = x.shape[1]
        weight = self.get(f'{name}.weight', channels, center=1, width=0.5)
        bias = self.get(f'{name}.bias', channels, width=0.1)
        mean = self.get(f'{name}.running_mean', channels, width=0.1)
        var = self.get(f'{name}.running_var', channels, center=1, width=0.5)
        self.state[f'{name}.num_batches_tracked'] = torch.tensor(7)
        return F.batch_norm(x, mean, var, weight, bias)

    def classify(self, x, name):
        x = x.mean((2, 3))
        weight = self.get(f'{name}.weight', 100, x.shape[1])
        return F.linear(x, weight, self.get(f'{name}.bias', 100))


def resnet(w, x, depth, widths):
    x = w.bn(w.conv(x, 'conv1', widths[0], 3), 'bn1').relu()
    for stage in (1, 2, 3):
        for index in range((depth - 2) // 6):
            name, out = f'layer{stage}.{index}', widths[stage]
            stride = 2 if stage > 1 and index == 0 else 1
            y = w.bn(w.conv(x, f'{name}.conv1', out, 3, stride), f'{name}.bn1').relu()
            y = w.bn(w.conv(y, f'{name}.conv2', out, 3), f'{name}.bn2')
            if x.shape != y.shape:
                x = w.conv(x, f'{name}.downsample.0', out, 1, stride)
                x = w.bn(x, f'{name}.downsample.1')
            x = (x + y).relu()
    return w.classify(x, 'fc')


def resnet50(w, x):
    x = w.bn(w.conv(x, 'conv1', 64, 3), 'bn1').relu()
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for index in range(blocks):
            name, width = f'layer{stage}.{index}', 32 * 2**stage
            stride = 2 if stage > 1 and index == 0 else 1
            y = w.bn(w.conv(x, f'{name}.conv1', width, 1), f'{name}.bn1').relu()
            y = w.conv(y, f'{name}.conv2', width, 3, stride)
            y = w.bn(y, f'{name}.bn2').relu()
            y = w.bn(w.conv(y, f'{name}.conv3', 4 * width, 1), f'{name}.bn3')
            if x.shape != y.shape:
                x = w.conv(x, f'{name}.shortcut.0', 4 * width, 1, stride)
                x = w.bn(x, f'{name}.shortcut.1')
            x = (x + y).relu()
    return w.classify(x, 'linear')


def wrn(w, x, depth, factor):
    x = w.conv(x, 'conv1', 16, 3)
    for stage in (1, 2, 3):
        for index in range((depth - 4) // 6):
            name, out = f'block{stage}.layer.{index}', 8 * 2**stage * factor
            stride = 2 if stage > 1 and index == 0 else 1
            y = w.bn(x, f'{name}.bn1').relu()
            before = y
            y = w.conv(y, f'{name}.conv1', out, 3, stride)
            y = w.conv(w.bn(y, f'{name}.bn2').relu(), f'{name}.conv2', out, 3)
            if x.shape[1] != out:
                x = w.conv(before, f'{name}.convShortcut', out, 1, stride)
            x = x + y
    return w.classify(w.bn(x, 'bn1').relu(), 'fc')


def vgg(w, x, convolutions):
    for block, out in enumerate((64, 128, 256, 512, 512)):
        for index in range(convolutions):
            name = f'block{block}'
            x = w.conv(x, f'{name}.{3 * index}', out, 3, bias=True)
            x = w.bn(x, f'{name}.{3 * index + 1}').relu()
        x = F.max_pool2d(x, 2) if block < 3 else x
    return w.classify(x, 'classifier')


def mobilenet_v2(w, x):
    x = w.bn(w.conv(x, 'conv1.0', 16, 3, 2), 'conv1.1').relu()
    widths, blocks = (8, 12, 16, 32, 48, 80, 160), (1, 2, 3, 4, 3, 3, 1)
    for stage, (out, number) in enumerate(zip(widths, blocks, strict=True)):
        for index in range(number):
            name = f'blocks.{stage}.{index}.conv'
            wide = x.shape[1] * (6 if stage else 1)
            stride = 2 if stage in (2, 3, 5) and index == 0 else 1
            y = w.bn(w.conv(x, f'{name}.0', wide, 1), f'{name}.1').relu()
            y = w.conv(y, f'{name}.3', wide, 3, stride, groups=wide)
            y = w.bn(y, f'{name}.4').relu()
            y = w.bn(w.conv(y, f'{name}.6', out, 1), f'{name}.7')
            x = x + y if x.shape == y.shape else y
    x = w.bn(w.conv(x, 'conv2.0', 1280, 1), 'conv2.1').relu()
    return w.classify(x, 'classifier.0')


def shufflenet_v2(w, x):
    def pointwise(x, number, out):
        x = w.conv(x, f'{name}.conv{number}', out, 1)
        return w.bn(x, f'{name}.bn{number}').relu()

    def depthwise(x, number, stride):
        channels = x.shape[1]
        x = w.conv(x, f'{name}.conv{number}', channels, 3, stride, groups=channels)
        return w.bn(x, f'{name}.bn{number}')

    x = w.bn(w.conv(x, 'conv1', 24, 1), 'bn1').relu()
    for stage, (out, units) in enumerate(((116, 4), (232, 8), (464, 4)), 1):
        half = out // 2
        for index in range(units):
            name = f'layer{stage}.{index}'
            if index == 0:
                left = pointwise(depthwise(x, 1, 2), 2, half)
                right = pointwise(depthwise(pointwise(x, 3, half), 4, 2), 5, half)
            else:
                left, right = x[:, :half], x[:, half:]
                right = pointwise(depthwise(pointwise(right, 1, half), 2, 1), 3, half)
            # Channel i of the left, channel i of the right, and so on.
            x = torch.stack([left, right], 2).flatten(1, 2)
    x = w.bn(w.conv(x, 'conv2', 1024, 1), 'bn2').relu()
    return w.classify(x, 'linear')


NARROW, WIDE = (16, 16, 32, 64), (32, 64, 128, 256)
NETWORKS = {  # the function, its arguments, and how many keys mdistiller's own has
    'resnet20': (resnet, (20, NARROW), 128),
    'resnet32': (resnet, (32, NARROW), 200),
    'resnet56': (resnet, (56, NARROW), 344),
    'resnet110': (resnet, (110, NARROW), 668),
    'resnet8x4': (resnet, (8, WIDE), 62),
    'resnet32x4': (resnet, (32, WIDE), 206),
    'resnet50': (resnet50, (), 320),
    'wrn_16_2': (wrn, (16, 2), 83),
    'wrn_40_1': (wrn, (40, 1), 226),
    'wrn_40_2': (wrn, (40, 2), 227),
    'vgg8': (vgg, (1,), 37),
    'vgg13': (vgg, (2,), 72),
    'mobilenet_v2': (mobilenet_v2, (), 320),
    'shufflenet_v2': (shufflenet_v2, (), 338),
}


def run(network, images):
    """The logits of a network, and the state dict of what it used."""
    function, arguments, keys = NETWORKS[network]
    weights = Weights()
    logits = function(weights, images, *arguments)
    assert len(weights.state) == keys
    return logits, weights.state
