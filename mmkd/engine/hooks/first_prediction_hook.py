"""Prediction on a validation image before the first iteration."""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from mmengine.hooks import Hook
from torch import nn
from torch.nn import functional

from mmkd.datasets.position_seeding import random_numbers_kept
from mmkd.engine.num_classes import segmentation_head
from mmkd.errors import UserError
from mmkd.registry import HOOKS

if TYPE_CHECKING:
    from mmkd.engine.runner import Runner

DIVISORS = (2, 4, 8, 16, 32, 64, 128)
PADDING = 'model.data_preprocessor.test_cfg'


@HOOKS.register_module()
class FirstPredictionHook(Hook):
    """Predict a validation image before the first iteration.

    A network that cannot predict would otherwise fail in the first validation, maybe
    hours later. The hook changes neither the network nor the random state. It also
    checks that the first training batch has the edge maps that PIDNet needs.
    """

    def __init__(self) -> None:
        self.started = False

    def before_train(self, runner: 'Runner') -> None:
        """Predict the image, unless the run is resumed.

        Raises:
            UserError: if the prediction fails or has another number of classes; the
                message names the config key.
        """
        batch, runner.first_batch = runner.first_batch, None
        if batch is None or runner.iter:
            return
        network: Any = runner.network
        with random_numbers_kept(), torch.no_grad(), evaluating(network):
            try:
                outputs = network.val_step(copy.deepcopy(batch))
            except UserError:
                raise
            except Exception as error:  # a network can raise any exception
                raise explained(error, network, batch) from error
        check_outputs(outputs, network, runner.val_dataloader.dataset)

    def before_train_iter(
        self, runner: 'Runner', batch_idx: int, data_batch: object = None
    ) -> None:
        """Check the edge maps of the first batch.

        Raises:
            UserError: if PIDNet gets none.
        """
        if not self.started:
            self.started = True
            check_edges(runner.network, data_batch)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Set the eval mode within this context."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def explained(error: Exception, network: nn.Module, batch: object) -> UserError:
    """Explain why a network cannot predict a validation image."""
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    shape = tuple(getattr(inputs[0], 'shape', ())) if inputs else ()
    name, module = failing_module(error.__traceback__, network)
    part = name.partition('.')[0]
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    reason = f'{name} ({type(module).__name__}) raises {reason}' if name else reason
    what = f'the network cannot predict a validation image of shape {shape}'
    if divisor := fitting_divisor(network, batch):
        return UserError(
            f'{PADDING}: {what} unless both sides are multiples of {divisor}; set it '
            f'to dict(size_divisor={divisor}), which pads images ({reason})'
        )
    key, fix = f'model.{part}' if part else 'model', 'correct its config'
    channels = re.search(r'to have \d+ channels, but got (\d+) channels', reason)
    if part == 'data_preprocessor':
        fix = f'its mean and std need one value for each of {shape[:1]} channels'
    elif channels:
        key, fix = f'{key}.in_channels', f'check it; it gets {channels[1]} channels'
    elif isinstance(error, IndexError) and 'head' in part:
        key, fix = f'{key}.in_index', 'check it against the outputs of model.backbone'
    return UserError(f'{key}: {what}: {reason}; {fix}')


def failing_module(
    trace: TracebackType | None, network: nn.Module
) -> tuple[str, nn.Module | None]:
    """Return the innermost module in which an error occurred, with its name."""
    names = {id(module): name for name, module in network.named_modules() if name}
    found: tuple[str, nn.Module | None] = ('', None)
    while trace:
        owner = trace.tb_frame.f_locals.get('self')
        if id(owner) in names:
            found = names[id(owner)], owner
        trace = trace.tb_next
    return found


def fitting_divisor(network: Any, batch: Any) -> int | None:
    """Return the smallest divisor of the image's size that it needs; None if none."""
    if not hasattr(network.data_preprocessor, 'test_cfg'):
        return None
    for divisor in DIVISORS:
        padded = copy.deepcopy(batch)
        try:
            padded['inputs'] = [pad(image, divisor) for image in padded['inputs']]
            network.val_step(padded)
        except Exception:  # as without padding
            continue
        return divisor
    return None


def pad(image: torch.Tensor, divisor: int) -> torch.Tensor:
    """Pad an image (C, H, W) to sides that are odd multiples of a divisor."""
    height, width = (-(-side // divisor) // 2 * 2 + 1 for side in image.shape[1:])
    bottom, right = height * divisor, width * divisor
    return functional.pad(
        image, (0, right - image.shape[2], 0, bottom - image.shape[1])
    )


def check_outputs(outputs: object, network: nn.Module, dataset: object) -> None:
    """Raise a UserError if predictions have an unexpected number of classes."""
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    head = segmentation_head(network)
    expected = getattr(head, 'out_channels', None)
    for sample in outputs if isinstance(outputs, list | tuple) else ():
        logits = getattr(getattr(sample, 'seg_logits', None), 'data', None)
        if not isinstance(logits, torch.Tensor):
            continue
        channels = logits.shape[0]
        if expected is not None and channels != expected:
            raise UserError(
                f'model.decode_head.num_classes: the head is configured for {expected} '
                f'outputs, but the network returns {channels}; set it to {channels}, '
                'or correct the network'
            )
        if channels < len(names) and (channels, len(names)) != (1, 2):
            raise UserError(
                f'model: the network returns {channels} classes, but '
                f'val_dataloader.dataset has {len(names)}; correct its number of '
                'classes'
            )


def check_edges(network: nn.Module, batch: object) -> None:
    """Raise a UserError if PIDNet's head gets labels without edge maps."""
    kinds = [kind.__name__ for kind in type(segmentation_head(network)).__mro__]
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    if 'PIDHead' in kinds and samples and not hasattr(samples[0], 'gt_edge_map'):
        raise UserError(
            'train_dataloader.dataset.pipeline: model.decode_head, a PIDHead, needs '
            "edge maps; add dict(type='GenerateEdge', edge_width=4) before "
            'PackSegInputs in train_pipeline'
        )
