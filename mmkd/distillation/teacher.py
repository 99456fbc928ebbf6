"""Frozen pretrained teacher."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.checkpoint import check_finite, check_fit, load_weights
from mmkd.engine.config import read_config
from mmkd.errors import UserError
from mmkd.registry import MODELS

from .fast_path import FastPath
from .normalization import NormalizationBridge
from .taps import record

KEY = 'teacher'
FAST = [field.name for field in fields(FastPath)]


class Teacher(nn.Module):
    """Frozen pretrained teacher.

    The network is always in eval mode, including dropout, and computes no gradients. It
    runs in mode ``'tensor'``, so that its auxiliary heads, built only to match the
    checkpoint, never run. Deep copies share the same teacher.

    Args:
        config: ``model``, the config of the network, ``checkpoint``, its weights, and
            the arguments of :class:`FastPath`; see :func:`inline_teacher`.
        student_preprocessor: Preprocessor of the images that the teacher receives; they
            are converted if the teacher expects another normalization.

    Raises:
        UserError: if the weights are missing, not finite or do not match the network
            exactly.
    """

    def __init__(self, config: Mapping, student_preprocessor: nn.Module) -> None:
        super().__init__()
        path = config['checkpoint']
        self.fast_path = FastPath(**{k: config[k] for k in FAST if k in config})
        self.ready = False
        state, meta = load_weights(path, f'{KEY}.checkpoint')
        try:
            self.model = MODELS.build(ConfigDict(copy.deepcopy(config['model'])))
        except (KeyError, TypeError) as error:
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise UserError(
                f'{KEY}.config: the network cannot be built: {reason}'
            ) from (error)
        what = f"{KEY}.checkpoint: '{path}'"
        check_fit(self.model, state, what)
        check_finite(state, what)
        self.model.load_state_dict(state, strict=False)
        self.model.requires_grad_(False)
        self.bridge = NormalizationBridge(
            student_preprocessor, self.model.data_preprocessor
        )
        # Checkpoints of mmseg before 1.0 have CLASSES instead.
        dataset_meta = meta.get('dataset_meta') or {}
        self.classes = dataset_meta.get('classes') or meta.get('CLASSES')
        self.eval()

    @torch.no_grad()
    def outputs(
        self, inputs: Tensor, data_samples: list | None, taps: Sequence[str]
    ) -> Mapping[str, Tensor]:
        """Return the outputs of taps for images preprocessed for the student.

        Runs in the teacher's own precision, independent of autocast; without taps the
        network does not run. The options of :class:`FastPath` are applied on the first
        batch.
        """
        if not taps:
            return {}
        with torch.autocast(inputs.device.type, enabled=False):
            images = self.bridge(inputs)
            if not self.ready:
                self.ready = True
                self.model, report = self.fast_path.apply(self.model, images, taps)
                print_log(report, logger='current')
            with record(self.model, taps) as outputs:
                self.model(images, data_samples, mode='tensor')
        return outputs

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Return the predictions for images preprocessed for the student."""
        with torch.autocast(inputs.device.type, enabled=False):
            return self.model(self.bridge(inputs), data_samples, mode='predict')

    def train(self, mode: bool = True) -> 'Teacher':
        """Keep the eval mode for any ``mode``."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self


def inline_teacher(teacher: Mapping, folder: str | Path = '.') -> dict:
    """Replace the path ``config`` in a teacher's config by the network's ``model``.

    Args:
        teacher: ``checkpoint``, either ``config``, the path of the network's config, or
            ``model``, the network's config itself, and arguments of :class:`FastPath`.
        folder: Folder of the current config. Relative paths are looked up there, then
            in the working directory; in a config that others inherit, write
            ``'{{ fileDirname }}/...'``.

    Returns:
        Dict of ``model``, without pretrained weights, ``checkpoint`` and the arguments
        of :class:`FastPath`.

    Raises:
        UserError: for missing, unknown or contradictory keys, or a missing config.
    """
    if not isinstance(teacher, Mapping):
        raise UserError(
            f'{KEY}: it must be dict(config=..., checkpoint=...), not {teacher!r}'
        )
    unknown = set(teacher) - {'config', 'model', 'checkpoint', *FAST}
    if unknown:
        raise UserError(
            f'{KEY}: unknown key {", ".join(sorted(unknown))}; use only config (or '
            f'model), checkpoint, {", ".join(FAST)}'
        )
    if not teacher.get('checkpoint'):
        raise UserError(
            f'{KEY}.checkpoint: a teacher needs trained weights; give their path or URL'
        )
    if ('config' in teacher) == ('model' in teacher):
        raise UserError(f'{KEY}: give either config (a path) or model (a dict)')
    if 'config' in teacher:
        model = _read_model(teacher['config'], folder)
    else:
        model = copy.deepcopy(dict(teacher['model']))
    rest = {key: value for key, value in teacher.items() if key in FAST}
    beside = Path(folder, teacher['checkpoint'])
    checkpoint = str(beside) if beside.is_file() else teacher['checkpoint']
    return {'model': without_pretraining(model), 'checkpoint': checkpoint, **rest}


def _read_model(path: str, folder: str | Path) -> dict:
    """Return the model of a config file, such that any default scope can build it."""
    found = [file for file in (Path(folder, path), Path(path)) if file.is_file()]
    if not found:
        raise UserError(
            f"{KEY}.config: '{path}' exists neither in '{folder}' nor in the working "
            "directory; write '{{ fileDirname }}/...' for a path relative to the "
            'config file that contains it'
        )
    config = read_config(str(found[0]))
    model = config.model.to_dict()
    if 'data_preprocessor' in config:  # the Runner passes a top-level one
        model.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
    if config.get('default_scope'):
        model.setdefault('_scope_', config.default_scope)
    return model


def without_pretraining(node: Any) -> Any:
    """Remove ``pretrained`` and ``init_cfg``, since the checkpoint overwrites them."""
    if isinstance(node, Mapping):
        return {
            key: without_pretraining(value)
            for key, value in node.items()
            if key not in ('pretrained', 'init_cfg')
        }
    if isinstance(node, (list, tuple)):
        return type(node)(without_pretraining(value) for value in node)
    return node
