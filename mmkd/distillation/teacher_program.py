"""Teachers that are a program in a file, such as an ONNX graph."""

import logging
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log

from mmkd.errors import UserError
from mmkd.registry import type_name

WRAPPERS = ('TorchSegmentor', 'TorchClassifier')
SUFFIXES = ('.pt2', '.onnx')
# Programs keep the precision and the memory format in which they were exported.
AS_EXPORTED = dict(fuse_conv_bn=False, channels_last=False, precision='fp32')


def is_program(model: Mapping) -> bool:
    """Return True for the config of a network that the checkpoint contains."""
    return type_name(model) in WRAPPERS and model.get('module') is None


def check_program_keys(model: Mapping, teacher: Mapping, key: str) -> None:
    """Check the keys of a teacher that concern programs.

    Args:
        model: Config of the network.
        teacher: Config of the teacher.
        key: Its config key, for error messages.

    Raises:
        UserError: for a program as the weights of another network, or ``allow_code``
            for a network that needs none.
    """
    path = str(teacher['checkpoint'])
    if Path(path).suffix.lower() in SUFFIXES and not is_program(model):
        raise UserError(
            f"{key}.checkpoint: '{path}' is a program, not the weights of "
            f"{key}.model; use {key}.model=dict(type='mmkd.TorchSegmentor', ...) (or "
            "'mmkd.TorchClassifier') without module"
        )
    if teacher.get('allow_code') and type_name(model) not in WRAPPERS:
        raise UserError(
            f'{key}.allow_code: only {" and ".join(WRAPPERS)} have code of elsewhere; '
            'remove it'
        )


def as_exported(options: Mapping, key: str) -> dict:
    """Return the options that leave a program as it is, and log what is ignored."""
    found = {**options, **AS_EXPORTED, 'compile': False}
    ignored = [name for name, value in options.items() if value != found[name]]
    if ignored:
        print_log(
            f'{key}: {", ".join(ignored)} ignored, since a program runs as exported',
            'current',
            logging.WARNING,
        )
    return found
