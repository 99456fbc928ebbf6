"""Runner that distills a teacher into the config's ``model``."""

import copy
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import (
    BaseTTAModel,
    is_model_wrapper,
    revert_sync_batchnorm,
)
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import BaseLoop
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmkd.datasets.position_seeding import random_numbers_kept
from mmkd.engine.runner import Runner
from mmkd.errors import UserError
from mmkd.registry import RUNNERS, is_type

from .distill_hook import DistillHook
from .distiller import Distiller
from .loss_balance_hook import LossBalanceHook
from .step_time_hook import StepTimeHook
from .teacher_config import inline_teacher, split_teachers
from .teacher_metric_hook import TeacherMetricHook
from .unlabeled_hook import UnlabeledHook

NORMS = _NormBase, nn.GroupNorm, nn.LayerNorm


@RUNNERS.register_module()
class DistillRunner(Runner):
    """Runner that distills a teacher into the config's ``model``, the student.

    Reads two additional top-level keys of the config, ``teacher`` and
    ``distill_losses``; see :class:`Distiller`. All other keys have the same meaning as
    in the student's own config. For example, the optimizer is built from the student,
    and a parameter group for the learnable parameters of the losses is added.
    Checkpoints are plain student checkpoints.

    With ``unlabeled_dataloader``, a config like that of ``train_dataloader``, each
    iteration also distills on a batch of images without labels; see
    :class:`Unlabeled` for the optional key ``unlabeled``.

    Example:
        In a config:

        >>> runner_type = 'mmkd.DistillRunner'
        >>> teacher = dict(config='my_teacher.py', checkpoint='my_teacher.pth')
        >>> distill_losses = dict(loss_kd=dict(type='KDLoss', standardize=True))
    """

    own_hooks = (
        *Runner.own_hooks,
        DistillHook,
        UnlabeledHook,
        TeacherMetricHook,
        LossBalanceHook,
        StepTimeHook,
    )
    unlabeled_dataloader: Any = None  # a DataLoader, if the config has its key

    @classmethod
    def from_cfg(cls, cfg: Config | dict) -> 'DistillRunner':
        """Build a Runner from a config, and inline the teacher's network in it.

        Raises:
            UserError: if ``teacher`` or ``distill_losses`` is missing or invalid.
        """
        cfg = copy.deepcopy(cfg)
        for key in ('teacher', 'distill_losses'):
            if not cfg.get(key):
                raise UserError(
                    f"{key}: missing, but runner_type='{cls.__name__}' needs it; see "
                    'README.md, or remove runner_type to train without a teacher'
                )
        folder = Path(getattr(cfg, 'filename', None) or '.').parent
        with suppress(UserError):  # raised again by training; testing needs no teacher
            cfg['teacher'] = inline_teacher(cfg['teacher'], folder)
        wrapper = cfg.get('optim_wrapper') or {}
        if is_type(wrapper, AmpOptimWrapper, OPTIM_WRAPPERS):
            # The teacher runs without autocast, so it needs a precision of its own.
            for teacher in split_teachers(cfg['teacher']).values():
                teacher.setdefault('precision', precision_of(wrapper.get('dtype')))
        return super().from_cfg(cfg)

    @property
    def distiller(self) -> Distiller:
        """The trained model, unwrapped from DistributedDataParallel (DDP)."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def network(self) -> nn.Module:
        """The student, the network of the config's ``model``."""
        distiller = self.distiller
        return distiller.student if isinstance(distiller, Distiller) else distiller

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher; None before training."""
        return getattr(self.distiller, 'teacher', None)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the student and wrap it in a Distiller.

        A model for test-time augmentation is never trained and is not wrapped.
        """
        student = super().build_model(model)
        if isinstance(student, BaseTTAModel):
            return student
        unlabeled = self.cfg.get('unlabeled')
        if self.cfg.get('unlabeled_dataloader'):
            unlabeled = unlabeled or {}
        elif unlabeled is not None:
            raise UserError(
                'unlabeled: without images; add unlabeled_dataloader, or remove it'
            )
        return Distiller(
            student, self.cfg.teacher, self.cfg.distill_losses, unlabeled=unlabeled
        )

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop, its data loader and that of unlabeled images."""
        built = super().build_train_loop(loop)
        if config := self.cfg.get('unlabeled_dataloader'):
            self._split = 'unlabeled'
            self.unlabeled_dataloader = self.build_dataloader(config, self.seed)
        return built

    @property
    def training_loaders(self) -> dict[str, Any]:
        """The loaders of the training by what their samples are called."""
        loaders = super().training_loaders
        if self.unlabeled_dataloader is not None:
            loaders['unlabeled'] = self.unlabeled_dataloader
        return loaders

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training.

        With adapters, :meth:`build_optim_wrapper` wraps it, after they are built.
        """
        if isinstance(model, Distiller) and model.lacks_adapters:
            if get_device() == 'cpu':  # SyncBN needs a GPU
                model = revert_sync_batchnorm(model)
            return model.to(get_device())
        return super().wrap_model(model_wrapper_cfg, model)

    def _build_adapters(self) -> None:
        """Build the adapters from the first training image, and wrap the model."""
        distiller, loader = self.distiller, self.train_dataloader
        with random_numbers_kept():
            batch = loader.collate_fn([loader.dataset[0], loader.dataset[0]])
            batch = distiller.data_preprocessor(batch, training=True)
        distiller.build_adapters(batch['inputs'], batch['data_samples'], self.seed)
        config = self.cfg.get('model_wrapper_cfg')
        self.model = super().wrap_model(config, distiller)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the student's optimizer and add the parameters of the losses.

        The optimizer constructors of MMEngine, mmseg and mmpretrain depend on parameter
        names, so they are called with the student.

        Raises:
            UserError: for several optimizers if a loss has learnable parameters.
        """
        if self.distiller.lacks_adapters:
            self._build_adapters()
        if isinstance(optim_wrapper, OptimWrapper | OptimWrapperDict):
            return optim_wrapper
        distiller, self.model = self.model, self.network
        try:
            built = super().build_optim_wrapper(optim_wrapper)
        finally:
            self.model = distiller
        learned = dict(self.distiller.distill_losses.named_parameters())
        if learned and isinstance(built, OptimWrapperDict):
            raise UserError(
                'optim_wrapper: a loss with learnable parameters needs a single '
                f'optimizer, but there are several ({", ".join(built.keys())}); use '
                'one optimizer, or losses without learnable parameters'
            )
        for group in self._groups_of(learned):
            # PyTorch requires param_names in all groups or in none.
            if 'param_names' not in built.optimizer.param_groups[0]:
                group.pop('param_names')
            built.optimizer.add_param_group(group)
        return built

    def _groups_of(self, learned: Mapping[str, nn.Parameter]) -> list[dict]:
        """Return parameter groups of the losses: without weight decay for norms."""
        norms = {
            id(parameter)
            for module in self.distiller.distill_losses.modules()
            if isinstance(module, NORMS)
            for parameter in module.parameters(recurse=False)
        }
        groups = []
        for decays in (True, False):
            chosen = {
                f'distill_losses.{name}': parameter
                for name, parameter in learned.items()
                if (id(parameter) not in norms) == decays
            }
            if chosen:
                group: dict = dict(
                    params=list(chosen.values()), param_names=list(chosen)
                )
                groups.append(group if decays else dict(group, weight_decay=0.0))
        return groups


def precision_of(dtype: str | torch.dtype | None) -> str:
    """Return the teacher's precision for the dtype of an AmpOptimWrapper.

    Example:
        >>> precision_of(None), precision_of('bfloat16'), precision_of(torch.float32)
        ('fp16', 'bf16', 'fp32')
    """
    name = str(dtype or torch.float16).removeprefix('torch.')
    return dict(float16='fp16', bfloat16='bf16').get(name, 'fp32')
