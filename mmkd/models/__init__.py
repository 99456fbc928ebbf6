"""Backbones that MMPretrain lacks, and models around networks of PyTorch."""

from importlib.util import find_spec

from mmkd import registry  # noqa: F401  first: it names a missing extra

from .cifar_mobilenet_v2 import CIFARMobileNetV2
from .cifar_resnet import CIFARResNet
from .cifar_shufflenet_v2 import CIFARShuffleNetV2
from .cifar_vgg import CIFARVGG
from .cifar_wide_resnet import CIFARWideResNet
from .linear_segmentor import LinearSegmentor
from .mobilenet_v1 import MobileNetV1
from .torch_segmentor import TorchSegmentor

__all__ = [
    'CIFARVGG',
    'CIFARMobileNetV2',
    'CIFARResNet',
    'CIFARShuffleNetV2',
    'CIFARWideResNet',
    'LinearSegmentor',
    'MobileNetV1',
    'TorchSegmentor',
]

if find_spec('mmpretrain'):
    from .torch_classifier import TorchClassifier

    __all__ += ['TorchClassifier']
