"""Runner that distills a teacher into the config's model."""

import copy
from contextlib import suppress
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from mmkd.engine.runner import Runner
from mmkd.errors import UserError
from mmkd.registry import RUNNERS, is_type

from .distill_hook import DistillHook
from .distiller import Distiller
from .loss_balance_hook import LossBalanceHook
from .teacher import inline_teacher
from .teacher_metric_hook import TeacherMetricHook


@RUNNERS.register_module()
class DistillRunner(Runner):
    """Runner that trains the config's ``model`` with a teacher's help.

    Reads two top-level keys of the config, ``teacher`` and ``distill_losses``; see
    :class:`Distiller`. Everything else is the config of the student's own training:
    the optimizer, for example, is built from the student, with a parameter group for
    what the losses learn added to it. Checkpoints are the student's.

    Example:
        In a config:

        >>> runner_type = 'mmkd.DistillRunner'
        >>> teacher = dict(config='my_teacher.py', checkpoint='my_teacher.pth')
        >>> distill_losses = dict(loss_kd=dict(type='KDLoss', standardize=True))
    """

    own_hooks = (*Runner.own_hooks, DistillHook, TeacherMetricHook, LossBalanceHook)

    @classmethod
    def from_cfg(cls, cfg: Config | dict) -> 'DistillRunner':
        """Build a Runner from a config; the teacher's network is recorded in it.

        Raises:
            UserError: if ``teacher`` or ``distill_losses`` is missing or invalid.
        """
        cfg = copy.deepcopy(cfg)
        for key in ('teacher', 'distill_losses'):
            if not cfg.get(key):
                raise UserError(
                    f"{key}: runner_type='{cls.__name__}' needs it; see README.md, or "
                    'remove runner_type to train without a teacher'
                )
        folder = Path(getattr(cfg, 'filename', None) or '.').parent
        with suppress(UserError):  # training raises it; a test needs no teacher
            cfg['teacher'] = inline_teacher(cfg['teacher'], folder)
        wrapper = cfg.get('optim_wrapper') or {}
        if is_type(wrapper, AmpOptimWrapper, OPTIM_WRAPPERS):
            # The teacher runs without autocast.
            half = 'bf16' if wrapper.get('dtype') == 'bfloat16' else 'fp16'
            cfg['teacher'].setdefault('precision', half)
        return super().from_cfg(cfg)

    @property
    def distiller(self) -> Distiller:
        """The trained model, out of DDP's wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def network(self) -> nn.Module:
        """The student, which the config's ``model`` describes."""
        return getattr(self.distiller, 'student', self.distiller)

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher; None before training."""
        return getattr(self.distiller, 'teacher', None)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the student and put teacher and losses around it.

        A model of test-time augmentation, which is never trained, stays alone.
        """
        student = super().build_model(model)
        if isinstance(student, BaseTTAModel):
            return student
        return Distiller(student, self.cfg.teacher, self.cfg.distill_losses)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the student's optimizer, with a group for parameters of the losses.

        The constructors of MMEngine, mmseg and mmpretrain read the names of the
        parameters, and therefore are given the student.

        Raises:
            UserError: for several optimizers, of which none is the losses'.
        """
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
                'optim_wrapper: a loss that learns needs a single optimizer, but '
                f'there are several ({", ".join(built.keys())})'
            )
        if learned:
            group = dict(params=list(learned.values()))
            if 'param_names' in built.optimizer.param_groups[0]:  # all groups or none
                group['param_names'] = [f'distill_losses.{name}' for name in learned]
            built.optimizer.add_param_group(group)
        return built
