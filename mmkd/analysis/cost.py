"""Number of parameters and operations of a network, from its config."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmkd.distillation.teacher_config import KEY, split_teachers, without_pretraining
from mmkd.distillation.teacher_program import is_program
from mmkd.registry import MODELS

from .registered_types import check_registered

# Keys of a config on which the cost of its student depends.
COST_KEYS = ('model', 'data_preprocessor', 'default_scope', 'train_dataloader')


class CostError(ValueError):
    """Error for a network whose cost cannot be measured."""


@dataclass(frozen=True)
class Cost:
    """Cost of a network.

    Args:
        parameters: Number of parameters, including auxiliary heads.
        flops: Floating-point operations (FLOPs) of a forward pass for one image without
            auxiliary heads: those of convolutions and matrix products, as counted by
            PyTorch's ``FlopCounterMode``, where a multiplication and an addition are
            two operations. None if the image size is unknown.
        size: Height and width of the image.
    """

    parameters: int
    flops: int | None
    size: tuple[int, int] | None


def student_cost(config: Config) -> Cost:
    """Return the cost of a config's ``model``, the student of a distillation."""
    return _cost(config.model, config)


def teacher_cost(config: Config, key: str = KEY) -> Cost | None:
    """Return the cost of a distillation's teacher; None if its network is unknown.

    Args:
        config: Config of the distillation.
        key: Config key of the teacher. Default ``'teacher'``.

    Runs record the teacher's network. The path of a config is not read, since the
    config would be executed.
    """
    model = split_teachers(config.teacher)[key].get('model')
    if model is not None and is_program(model):
        raise CostError('its cost is unknown: it is a program, not a network')
    return None if model is None else _cost(model, config)


def _cost(model: dict, config: Config) -> Cost:
    model = without_pretraining(dict(model))
    if 'data_preprocessor' in config:  # the Runner passes a top-level one
        model.setdefault('data_preprocessor', config.data_preprocessor)
    try:
        check_registered(dict(model=model))
        with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg')):
            network = revert_sync_batchnorm(MODELS.build(model)).to('meta').eval()
        size = input_size(model, config)
        flops = None if size is None else count_flops(network, size)
    except Exception as error:  # networks of all kinds can raise any exception
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise CostError(f'its cost is unknown: {reason}') from error
    return Cost(sum(p.numel() for p in network.parameters()), flops, size)


@torch.no_grad()
def count_flops(network: nn.Module, size: tuple[int, int]) -> int:
    """Count the operations for an image; on meta tensors none is executed."""
    image = torch.empty(1, 3, *size, device=next(network.parameters()).device)
    counter = FlopCounterMode(display=False)
    with counter:
        network(image, mode='tensor')
    return counter.get_total_flops()


def input_size(model: Mapping, config: Config) -> tuple[int, int] | None:
    """Return height and width of a network's training images; None if unknown.

    Read from the data preprocessor of a segmentor, or from the last crop or resizing in
    the training pipeline of a classifier.
    """
    if size := (model.get('data_preprocessor') or {}).get('size'):
        return tuple(size)
    pipeline = (config.get('train_dataloader') or {}).get('dataset', {})
    for step in reversed(pipeline.get('pipeline') or []):
        if 'Crop' in step['type'] or 'Resize' in step['type']:
            found = step.get('crop_size', step.get('scale'))
            return (found, found) if isinstance(found, int) else tuple(found[::-1])
    return None
