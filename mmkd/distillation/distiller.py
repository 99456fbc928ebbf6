"""The model the Runner trains."""

import copy
from collections.abc import Mapping

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmkd.checkpoint import only_weights
from mmkd.engine.model_hooks import let_models_bring_hooks
from mmkd.errors import UserError
from mmkd.losses.schedule import Progress
from mmkd.registry import MODELS

from .paired_prediction import predict_both
from .taps import record
from .targets import stack_targets
from .teacher import Teacher, inline_teacher
from .term import Term, build_term

let_models_bring_hooks()


@MODELS.register_module()
class Distiller(BaseModel):
    r"""A student, its frozen teacher and the losses between them.

    .. math:: L = L_{task}(student) + \sum_k w_k(i) L_k(s_k, t_k, target)

    To Runner, hooks and checkpoints it is the student: ``state_dict()`` has the
    student's own keys, ``predict`` runs the student alone. The teacher is no submodule:
    it is built, loaded and checked in :meth:`init_weights`, that is for training only,
    and is in no ``parameters()``, optimiser, checkpoint or DDP broadcast.

    Args:
        student: Config of any segmentor or classifier.
        teacher: ``config`` (path) or ``model`` (dict) of the teacher, and
            ``checkpoint``, and how to make it faster: see :class:`FastPath`.
        distill_losses: Config of each loss by name; the name holds "loss" and is logged
            as ``distill.<name>``. Beside the loss's own arguments: ``student`` and
            ``teacher``, the taps (default ``decode_head.conv_seg`` or ``head.fc``), and
            ``schedule``, a :class:`WeightSchedule`'s arguments (default: a warm-up of
            1000 iterations where the loss is standardised, else none).
        data_preprocessor: The student's, where its own config has none (the Runner
            passes a top-level one).

    Raises:
        UserError: naming the config key, for whatever does not fit.

    Example:
        >>> model = dict(
        ...     type='mmkd.Distiller',
        ...     student=student_cfg,
        ...     teacher=dict(config='pspnet_r101.py', checkpoint='pspnet_r101.pth'),
        ...     distill_losses=dict(loss_kd=dict(type='KDLoss', standardize=True)),
        ... )  # doctest: +SKIP
    """

    runner_hooks = (
        {'type': 'mmkd.DistillHook'},
        {'type': 'mmkd.FidelityHook'},
        {'type': 'mmkd.FiniteHook'},
    )

    def __init__(
        self,
        student: Mapping,
        teacher: Mapping,
        distill_losses: Mapping[str, Mapping],
        data_preprocessor: Mapping | None = None,
    ) -> None:
        # Past BaseModel, which would make a preprocessor beside the student's.
        super(BaseModel, self).__init__()
        student = ConfigDict(copy.deepcopy(dict(student)))  # mmseg reads attributes
        if data_preprocessor is not None:
            student.setdefault('data_preprocessor', data_preprocessor)
        self.student = MODELS.build(student)
        self.teacher_config = teacher
        self.config_folder = '.'
        self.progress = Progress()
        self.compares = False  # whether the teacher predicts, too; see FidelityHook
        # Past nn.Module, which would make the teacher a submodule.
        self.__dict__['teacher'] = None
        self.distill_losses = nn.ModuleDict()
        self.terms: list[Term] = []
        # The last batch's logits by network and tap, for what looks into a failure.
        self.recorded: dict[tuple[str, str], Tensor] = {}
        if not distill_losses:
            raise UserError('model.distill_losses: at least one loss is needed')
        for name, config in distill_losses.items():
            term, self.distill_losses[name] = build_term(name, config)
            term.find_student_tap(self.student)
            self.terms.append(term)

    @property
    def data_preprocessor(self) -> nn.Module:
        """The student's; the teacher's images are bridged from it."""
        return self.student.data_preprocessor

    def init_weights(self) -> None:
        """Initialises the student and builds the teacher; the Runner does, to train."""
        with only_weights():  # whichever tool trains
            self.student.init_weights()
        self.teacher_config = inline_teacher(self.teacher_config, self.config_folder)
        # Apart from the student's random numbers, which stay those of a lone student.
        with torch.random.fork_rng(devices=[]):
            teacher = Teacher(self.teacher_config, self.data_preprocessor)
        for term in self.terms:
            term.find_teacher_tap(teacher.model, self.student)
        device = next(self.student.parameters()).device
        teacher.model._set_device(device)
        self.__dict__['teacher'] = teacher.to(device)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict | list | Tensor:
        """The student's forward, but for the modes ``'loss'`` and ``'predict'``."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Returns the student's own losses and each distillation loss.

        A loss with a schedule also logs its present weight: ``distill.weight_kd`` of
        ``loss_kd``; CTKD its temperature likewise.
        """
        if self.teacher is None:
            raise RuntimeError('a Distiller has no teacher before init_weights()')
        factors = {term.name: term.factor(self.progress) for term in self.terms}
        active = [term for term in self.terms if factors[term.name] > 0]
        teacher_taps = [term.teacher_tap for term in active]
        if active:
            self.teacher.prepare(inputs, teacher_taps)
        with record(self.teacher.model, teacher_taps) as teacher_logits:
            if active:
                self.teacher(inputs, data_samples)
        with record(
            self.student, [term.student_tap for term in active]
        ) as student_logits:
            losses = self.student(inputs, data_samples, mode='loss')
        if 'loss' in losses:  # a classifier's: the log's name for the sum of all
            losses['task.loss'] = losses.pop('loss')
        self.recorded = {
            (network, tap): logits.detach()
            for network, taps in (
                ('student', student_logits),
                ('teacher', teacher_logits),
            )
            for tap, logits in taps.items()
        }
        target = stack_targets(data_samples)
        for term in self.terms:
            name, factor = term.name, factors[term.name]
            loss = self.distill_losses[name]
            if term in active:
                try:
                    value = factor * loss(
                        student_logits[term.student_tap],
                        teacher_logits[term.teacher_tap],
                        target,
                    )
                except (TypeError, ValueError) as error:
                    raise UserError(f'{term.key}: {error}') from error
            else:  # a graph nonetheless: DDP waits for each parameter's gradient
                zeros = (0 * parameter.sum() for parameter in loss.parameters())
                value = sum(zeros, inputs.new_zeros(()))
            losses[f'distill.{name}'] = value
            logged = getattr(loss, 'logged', dict)()
            if term.schedule is not None:
                logged['weight'] = torch.tensor(factor * loss.loss_weight)
            for what, number in logged.items():
                losses[f'distill.{name.replace("loss", what)}'] = number
        return losses

    def parse_losses(
        self, losses: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum to differentiate, and what to log.

        The sum is NaN where a loss or a network's logits are not finite: its gradient
        then is, on all processes, and FiniteHook leaves out the step on all alike.
        Found out on the device, without waiting for it.
        """
        total, log = super().parse_losses(losses)
        looked_at = [total.detach(), *self.recorded.values()]
        finite = torch.stack([value.isfinite().all() for value in looked_at]).all()
        return total * torch.where(finite, 1.0, torch.nan).to(total), log

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The student's predictions; see :func:`predict_both` for ``compares``."""
        if self.compares and data_samples is not None:
            return predict_both(self, inputs, data_samples)
        return self.student(inputs, data_samples, mode='predict')

    def teacher_predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The teacher's predictions on images preprocessed for the student."""
        return self.teacher(inputs, data_samples, mode='predict')

    def state_dict(self, *args, **kwargs) -> dict[str, Tensor]:
        """The student's own: any checkpoint is a plain student's."""
        return self.student.state_dict(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object
    ) -> None:
        """Reads a plain student's state; what the losses learn lives beside it."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name = key.removeprefix(prefix)
            state_dict[f'{prefix}student.{name}'] = state_dict.pop(key)
        self.distill_losses.state_dict(
            destination=state_dict, prefix=f'{prefix}distill_losses.'
        )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, *args, **kwargs) -> 'Distiller':
        """Takes the teacher along to another device or precision."""
        super()._apply(*args, **kwargs)
        if self.teacher is not None:
            self.teacher._apply(*args, **kwargs)
        return self

    def _set_device(self, device: torch.device) -> None:
        """Tells both networks' preprocessors where to put images."""
        super()._set_device(device)
        if self.teacher is not None:
            self.teacher.model._set_device(device)
