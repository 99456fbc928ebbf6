"""Textual description of the settings of a training."""

from collections.abc import Mapping
from pathlib import Path

from mmkd.distillation.teacher_config import split_teachers
from mmkd.registry import type_name


def recipe(config: Mapping) -> dict[str, str]:
    """Describe network, teacher, losses, data, optimizer and schedule of a config."""
    rows = {'network': describe_network(config['model'])}
    for key, teacher in split_teachers(config.get('teacher') or {}).items():
        if teacher:
            path, model = teacher.get('config'), teacher.get('model') or {}
            name = Path(path).stem if path else describe_network(model)
            rows[key] = f'{name}, {Path(teacher.get("checkpoint", "")).name}'
    for name, loss in (config.get('distill_losses') or {}).items():
        rows[name] = as_call(loss)
    for name, key in (
        ('data', 'train_dataloader'),
        ('unlabeled data', 'unlabeled_dataloader'),
    ):
        loader = config.get(key) or {}
        if 'dataset' in loader:
            rows[name] = (
                f'{type_name(loader["dataset"])}, in batches of '
                f'{loader.get("batch_size", 1)} for each process'
            )
    if 'optim_wrapper' in config:
        rows['optimizer'] = as_call(config['optim_wrapper'].get('optimizer', {}))
    if config.get('param_scheduler'):
        rows['schedule'] = as_call(config['param_scheduler'])
    return rows


def describe_network(model: Mapping) -> str:
    """Describe head and backbone of a config's model."""
    head = model.get('decode_head') or model.get('head') or {}
    if isinstance(head, list | tuple):  # a cascade
        head = head[-1]
    backbone = model.get('backbone') or {}
    kinds = ('depth', 'stem_channels', 'base_channels', 'arch')
    details = ', '.join(f'{key} {backbone[key]}' for key in kinds if key in backbone)
    name = f'{type_name(head or model)} on {type_name(backbone)}'
    return f'{name} ({details})' if details else name


def as_call(node: object) -> str:
    """Format a part of a config as the equivalent call.

    Example:
        >>> as_call(dict(type='mmkd.KDLoss', taus=[1.0, 2.0]))
        'KDLoss(taus=[1.0, 2.0])'
    """
    if isinstance(node, list | tuple):
        return f'[{", ".join(map(as_call, node))}]'
    if not isinstance(node, Mapping):
        return repr(node)
    arguments = (f'{k}={as_call(v)}' for k, v in node.items() if k != 'type')
    name = type_name(node) if 'type' in node else 'dict'
    return f'{name}({", ".join(arguments)})'
