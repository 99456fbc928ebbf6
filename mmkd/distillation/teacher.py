"""Frozen pretrained teacher."""

import copy
from collections.abc import Mapping, Sequence

import torch
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.checkpoint import check_finite, check_fit, load_weights
from mmkd.errors import UserError
from mmkd.models.programs import load_program
from mmkd.registry import MODELS

from .fast_path import FastPath
from .normalization import NormalizationBridge
from .run_to_logits import run_to_logits
from .taps import record
from .teacher_config import FAST, KEY
from .teacher_program import is_program


class Teacher(nn.Module):
    """Frozen pretrained teacher.

    The network is always in eval mode, including dropout, and computes no gradients. It
    runs only as far as its logits: its auxiliary heads, built only to match the
    checkpoint, never run. Deep copies share the same teacher.

    Args:
        config: ``model``, the config of the network, ``checkpoint``, its weights, and
            the arguments of :class:`FastPath`; see :func:`inline_teacher`. A program
            is network and weights in one.
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
        model = copy.deepcopy(dict(config['model']))
        state: dict[str, Tensor] = {}
        meta: dict = {}
        if is_program(model):
            allow_code = model.get('allow_code', False)
            model['module'] = load_program(path, f'{KEY}.checkpoint', allow_code)
        else:
            state, meta = load_weights(path, f'{KEY}.checkpoint')
        try:
            self.model = MODELS.build(ConfigDict(model))
        except UserError as error:  # it names a key such as model.module
            raise UserError(f'{KEY}.{error}') from error
        except (KeyError, TypeError) as error:
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise UserError(
                f'{KEY}.config: the network cannot be built: {reason}'
            ) from (error)
        for part in self.model.children():
            if hasattr(part, 'config_key'):
                part.config_key = f'{KEY}.model'
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
        self.classes = (
            dataset_meta.get('classes')
            or meta.get('CLASSES')
            or getattr(self.model, 'classes', None)
        )
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
                run_to_logits(self.model, images, taps)
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
