"""Check of the numbers of classes in a network's heads against the dataset."""

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmkd.errors import UserError


def segmentation_head(network: nn.Module) -> nn.Module | None:
    """Return a segmentor's decode head (the last of a cascade); None without one."""
    head = getattr(network, 'decode_head', None)
    return head[-1] if isinstance(head, nn.ModuleList) else head


def heads_of(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the heads of a segmentor or classifier with their config keys."""
    for name in ('decode_head', 'auxiliary_head', 'head'):
        yield from _each(f'model.{name}', getattr(network, name, None))


def _each(key: str, head: object) -> Iterator[tuple[str, nn.Module]]:
    """Yield a head, each of a list of heads, or those that K-Net's head consists of."""
    if isinstance(head, nn.ModuleList):
        for number, each in enumerate(head):
            yield from _each(f'{key}.{number}', each)
    elif hasattr(head, 'kernel_update_head'):
        for name in ('kernel_generate_head', 'kernel_update_head'):
            yield from _each(f'{key}.{name}', getattr(head, name))
    elif isinstance(head, nn.Module):
        yield key, head


def check_num_classes(network: nn.Module, dataset: object) -> None:
    """Check the number of classes and of class weights in each head.

    Logs a warning if a head has more classes than the training dataset.

    Raises:
        UserError: if a head has fewer classes than the training dataset, or a loss has
            not one weight for each class.
    """
    names = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    for key, head in heads_of(network):
        classes = getattr(head, 'num_classes', None)
        # STDC's auxiliary head of boundaries has two classes of its own.
        if not isinstance(classes, int) or hasattr(head, 'boundary_threshold'):
            continue
        if classes < len(names):
            others = [other for other, _ in heads_of(network) if other != key]
            also = f', also in {" and ".join(others)}' if others else ''
            raise UserError(
                f'{key}.num_classes: {classes}, but train_dataloader.dataset has '
                f'{len(names)} classes; set it to {len(names)}{also}, or select a '
                'subset of the classes with the metainfo of the datasets'
            )
        if classes > len(names) > 0:
            print_log(
                f'{key}.num_classes: {classes}, but train_dataloader.dataset has '
                f'{len(names)} classes; no label trains the others',
                'current',
                logging.WARNING,
            )
        if getattr(head, 'out_channels', classes) > 1:
            check_class_weights(key, head, classes)


def check_class_weights(key: str, head: nn.Module, classes: int) -> None:
    """Raise a UserError if a loss of a head has not one weight for each class."""
    for name, attribute, number in (
        ('loss_decode', 'loss_decode', classes),
        ('loss', 'loss_module', classes),
        ('loss_cls', 'loss_cls', classes + 1),  # also for no object
    ):
        loss: Any = getattr(head, attribute, None)
        several = isinstance(loss, nn.ModuleList)
        losses = list(loss) if several else [loss]
        for place, each in enumerate(losses):
            weights = getattr(each, 'class_weight', None)
            if not isinstance(weights, list | tuple) or len(weights) == number:
                continue
            where = f'{name}.{place}' if several else name
            raise UserError(
                f'{key}.{where}.class_weight: {len(weights)} weights, but the head has '
                f'num_classes={classes}; set it to a list of {number}, or to None'
            )
