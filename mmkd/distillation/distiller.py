"""The model that a distillation trains."""

from collections.abc import Mapping

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmkd.errors import UserError
from mmkd.losses.schedule import Progress
from mmkd.registry import MODELS

from .paired_prediction import predict_both
from .tapped_loss import TappedLoss
from .taps import record
from .targets import stack_targets
from .teacher import Teacher, inline_teacher

NEW_FORM = (
    "model: 'mmkd.Distiller' is built by the Runner; write model=<the student's>, "
    "runner_type='mmkd.DistillRunner', teacher=dict(config=..., checkpoint=...) and "
    'distill_losses=dict(loss_kd=dict(...)) at the top level of the config'
)


@MODELS.register_module()
class Distiller(BaseModel):
    r"""A student, its frozen teacher and the losses between them.

    .. math:: L = L_{task}(student) + \sum_k w_k(i) L_k(s_k, t_k, target)

    with s_k and t_k the outputs of the student's and the teacher's tap of the k-th
    loss, and w_k(i) its scheduled weight at iteration i.

    To Runner, hooks and checkpoints it is the student: ``state_dict()`` has the
    student's own keys, ``predict`` runs the student alone. The teacher is no submodule:
    it is built, loaded and checked in :meth:`init_weights`, that is, for training only,
    and is in no ``parameters()``, optimizer, checkpoint or DDP broadcast.

    :class:`DistillRunner` builds it; a config keeps the student as its ``model``.

    Args:
        student: A segmentor or classifier.
        teacher: Config of the teacher: ``config`` (path) or ``model`` (dict),
            ``checkpoint``, and the arguments of :class:`FastPath`.
        distill_losses: Config of each loss by name; see :class:`TappedLoss`. Logged as
            ``distill.<name>``.

    Attributes:
        progress: Position in the run; :class:`DistillHook` sets it.
        compares: The teacher predicts too, for a :class:`FidelityMetric`.
        recorded: Outputs of the last batch, as ``student.<tap>`` and
            ``teacher.<tap>``; :class:`FiniteHook` reports them.

    Raises:
        UserError: naming the config key of what is invalid.

    Example:
        >>> distiller = Distiller(
        ...     student,
        ...     teacher=dict(config='pspnet_r101.py', checkpoint='pspnet_r101.pth'),
        ...     distill_losses=dict(loss_kd=dict(type='KDLoss', standardize=True)),
        ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Mapping,
        distill_losses: Mapping[str, Mapping],
        data_preprocessor: Mapping | None = None,
    ) -> None:
        if not isinstance(student, nn.Module):
            raise UserError(NEW_FORM)
        # Past BaseModel, which would build a preprocessor beside the student's.
        super(BaseModel, self).__init__()
        self.student = student
        self.teacher_config = teacher
        # Past nn.Module, which would make the teacher a submodule.
        self.__dict__['teacher'] = None
        if not isinstance(distill_losses, Mapping):
            raise UserError(
                'distill_losses: a dict of losses by name is needed, such as '
                "dict(loss_kd=dict(type='KDLoss'))"
            )
        self.losses = [
            TappedLoss(name, config)
            for name, config in distill_losses.items()
            if config is not None  # a derived config removes a loss so
        ]
        if not self.losses:
            raise UserError('distill_losses: at least one loss is needed')
        # Registered, for their parameters.
        self.distill_losses = nn.ModuleDict(
            {loss.name: loss.loss for loss in self.losses}
        )
        self.progress = Progress()
        self.compares = False
        self.recorded: dict[str, Tensor] = {}

    @property
    def data_preprocessor(self) -> nn.Module:
        """The student's; the teacher's images are converted from it."""
        return self.student.data_preprocessor

    def init_weights(self) -> None:
        """Initialize the student and build the teacher."""
        self.student.init_weights()
        # Apart from the random numbers that follow, which stay those of the baseline.
        with torch.random.fork_rng(devices=[]):
            teacher = Teacher(
                inline_teacher(self.teacher_config), self.data_preprocessor
            )
        for loss in self.losses:
            loss.find_taps(self.student, teacher.model)
        device = next(self.student.parameters()).device
        teacher.model._set_device(device)
        self.__dict__['teacher'] = teacher.to(device)

    def __getattr__(self, name: str) -> object:
        """Look up the student's modules and attributes, as config keys name them."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            student = self.__dict__.get('_modules', {}).get('student')
            if student is None:
                raise
            return getattr(student, name)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict | list | Tensor:
        """Run the student, but in the modes ``'loss'`` and ``'predict'``."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Return the student's own losses and each distillation loss.

        A loss with a schedule also logs its current weight: ``distill.weight_kd`` of
        ``loss_kd``; CTKD its temperature likewise.
        """
        if self.teacher is None:
            raise RuntimeError('a Distiller has no teacher before init_weights()')
        active = [loss for loss in self.losses if loss.factor(self.progress)]
        teacher_outputs = self.teacher.outputs(
            inputs, data_samples, [loss.teacher_tap for loss in active]
        )
        student_taps = [loss.student_tap for loss in active]
        with record(self.student, student_taps) as student_outputs:
            losses = self.student(inputs, data_samples, mode='loss')
        if 'loss' in losses:  # a classifier's: the log's name for the sum of all
            losses['task.loss'] = losses.pop('loss')
        outputs = dict(student=student_outputs, teacher=teacher_outputs)
        self.recorded = {
            f'{network}.{tap}': output.detach()
            for network, by_tap in outputs.items()
            for tap, output in by_tap.items()
        }
        target = stack_targets(data_samples)
        for loss in self.losses:
            losses |= loss(student_outputs, teacher_outputs, target, self.progress)
        return losses

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Return the student's predictions; with ``compares`` also the teacher's."""
        if self.compares and data_samples is not None:
            return predict_both(self, inputs, data_samples)
        return self.student(inputs, data_samples, mode='predict')

    def state_dict(self, *args, **kwargs) -> dict[str, Tensor]:
        """Return the student's own: every checkpoint is a plain student's."""
        return self.student.state_dict(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object
    ) -> None:
        """Load a plain student's state; what the losses learn is saved beside it."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name = key.removeprefix(prefix)
            state_dict[f'{prefix}student.{name}'] = state_dict.pop(key)
        self.distill_losses.state_dict(
            destination=state_dict, prefix=f'{prefix}distill_losses.'
        )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, *args, **kwargs) -> 'Distiller':
        """Move the teacher to another device or precision, too."""
        super()._apply(*args, **kwargs)
        if self.teacher is not None:
            self.teacher._apply(*args, **kwargs)
        return self

    def _set_device(self, device: torch.device) -> None:
        """Set the device of both networks' preprocessors."""
        super()._set_device(device)
        if self.teacher is not None:
            self.teacher.model._set_device(device)
