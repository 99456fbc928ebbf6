"""Model trained in a distillation: student, frozen teacher and losses."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmkd.errors import UserError
from mmkd.losses.schedule import Progress
from mmkd.registry import MODELS

from .fast_path import tensors_of
from .input_channels import check_input_channels
from .paired_prediction import predict_both
from .stopwatch import LOSSES, TEACHER, Stopwatch
from .tapped_loss import TappedLoss, teacher_taps
from .taps import num_classes, record
from .targets import inside_images, stack_targets
from .teacher_config import inline_teacher
from .teachers import build_teacher
from .unlabeled import Unlabeled

NEW_FORM = (
    "model: 'mmkd.Distiller' is built by the Runner; write model=<the student's>, "
    "runner_type='mmkd.DistillRunner', teacher=dict(config=..., checkpoint=...) and "
    'distill_losses=dict(loss_kd=dict(...)) at the top level of the config'
)


@MODELS.register_module()
class Distiller(BaseModel):
    r"""Student with a frozen teacher and the losses between both.

    .. math:: L = L_{task}(student) + \sum_k w_k(i) L_k(s_k, t_k, target)

    where the k-th loss compares :math:`s_k` and :math:`t_k`, the outputs of its taps
    (the modules whose outputs are compared) in student and teacher, or the average of
    several teachers, and :math:`w_k(i)` is its scheduled weight at iteration i.

    For Runner, hooks and checkpoints it behaves like the student: ``state_dict()`` has
    the student's keys and ``predict`` runs only the student. The teacher is not a
    submodule. It is built, loaded and checked in :meth:`init_weights`, i.e. only for
    training, and is not part of ``parameters()``, the optimizer, checkpoints or the
    broadcast of DistributedDataParallel (DDP).

    :class:`DistillRunner` builds it from a config whose ``model`` is the student.

    Args:
        student: Segmentor or classifier.
        teacher: Config of the teacher: ``config`` (path) or ``model`` (dict),
            ``checkpoint``, and further keys; see :func:`inline_teacher`. Several
            teachers: such a config for each by name.
        distill_losses: Config of each loss by name; see :class:`TappedLoss`. Logged as
            ``distill.<name>``.
        unlabeled: Config of the distillation on images without labels, logged as
            ``unlabeled.<name>``; see :class:`Unlabeled`. Default None: there are none.

    Attributes:
        progress: Progress of the run, set by :class:`DistillHook`.
        compares: True if the teacher also predicts, for a :class:`FidelityMetric`.
        recorded: Outputs of the last batch, as ``student.<tap>`` and
            ``teacher.<tap>``; :class:`FiniteHook` reports them.
        stopwatch: Times of the parts of a training step; :class:`StepTimeHook` logs
            them.

    Raises:
        UserError: for invalid arguments; the message names the config key.

    Example:
        >>> distiller = Distiller(
        ...     student,
        ...     teacher=dict(config='pspnet_r101.py', checkpoint='pspnet_r101.pth'),
        ...     distill_losses=dict(loss_kd=dict(type='KDLoss', standardize=True)),
        ... )  # doctest: +SKIP
    """

    student: BaseModel

    def __init__(
        self,
        student: BaseModel,
        teacher: Mapping,
        distill_losses: Mapping[str, Mapping],
        data_preprocessor: Mapping | None = None,
        unlabeled: Mapping | None = None,
    ) -> None:
        if not isinstance(student, nn.Module):
            raise UserError(NEW_FORM)
        # Skip BaseModel.__init__, which would build a second preprocessor.
        super(BaseModel, self).__init__()
        self.student = student
        self.teacher_config = teacher
        # Bypass nn.Module.__setattr__, which would make the teacher a submodule.
        self.__dict__['teacher'] = None
        if not isinstance(distill_losses, Mapping):
            raise UserError(
                'distill_losses: it must be a dict of losses by name, such as '
                "dict(loss_kd=dict(type='KDLoss'))"
            )
        self.losses = [
            TappedLoss(name, config)
            for name, config in distill_losses.items()
            if config is not None  # a derived config removes a loss by None
        ]
        if not self.losses:
            raise UserError(
                'distill_losses: at least one loss is needed; add one, such as '
                "loss_kd=dict(type='KDLoss')"
            )
        self.unlabeled = (
            None if unlabeled is None else Unlabeled(self.losses, unlabeled)
        )
        # Registered as submodules because losses may have parameters, or a state.
        self.distill_losses = nn.ModuleDict(
            {loss.name: loss.loss for loss in self.losses}
            | {
                loss.name.replace('loss', 'weight'): loss.auto
                for loss in self.losses
                if loss.auto is not None
            }
        )
        self.progress = Progress()
        self.compares = False
        self.checked = False  # True once a batch's tap outputs have been checked
        self.recorded: dict[str, Tensor] = {}
        self.stopwatch = Stopwatch()

    @property
    def data_preprocessor(self) -> nn.Module:
        """The student's preprocessor; images are converted for the teacher."""
        return self.student.data_preprocessor

    def init_weights(self) -> None:
        """Initialize the student and build the teacher."""
        self.student.init_weights()
        self.build_teacher()

    def build_teacher(self) -> None:
        """Build, load and check the teacher, unless it exists, and find the taps."""
        if self.teacher is not None:
            return
        # Keep the random state, so that a run draws the same numbers as its baseline.
        with torch.random.fork_rng(devices=[]):
            teacher = build_teacher(
                inline_teacher(self.teacher_config), self.data_preprocessor
            )
        check_input_channels(self.student, self.data_preprocessor, 'model')
        for each in teacher.members.values():
            key = f'{each.key}.model'
            check_input_channels(each.model, self.data_preprocessor, key)
        for loss in self.losses:
            loss.find_taps(self.student, teacher.members)
        teacher.check_taps(teacher_taps(self.losses))
        device = next(self.student.parameters()).device
        self.__dict__['teacher'] = teacher.to(device)

    def map_classes(self, classes: Sequence[str] | None = None) -> None:
        """Map the teacher's outputs to the dataset's classes.

        :class:`DistillHook` calls it; without it, classes are matched by index.

        Args:
            classes: Names of the dataset's classes.
        """
        self.teacher.map_classes(classes, num_classes(self.student))
        for loss in self.losses:
            loss.map_classes()

    @property
    def lacks_adapters(self) -> bool:
        """True if adapters of losses have not been built yet."""
        adapters = (loss.adapter for loss in self.losses)
        return any(adapter and not adapter.in_channels for adapter in adapters)

    @torch.no_grad()
    def build_adapters(self, inputs: Tensor, data_samples: list, seed: int) -> None:
        """Build the adapters of the losses for the channels of both networks.

        Args:
            inputs: Preprocessed images, at least two for batch normalization (BN).
            data_samples: Their samples, with labels.
            seed: Seed of the adapters' initial parameters.
        """
        self.build_teacher()
        adapted = [loss for loss in self.losses if loss.adapter is not None]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            taps = teacher_taps(adapted)
            theirs = self.teacher.outputs(inputs, taps, accelerate=False)
            # The copy runs as in training, without a trace in the student's statistics.
            student = copy.deepcopy(self.student).train()
            with record(student, [loss.student_tap for loss in adapted]) as ours:
                student(inputs, data_samples, mode='loss')
            for loss in adapted:
                loss.build_adapter(ours, theirs)
        self.distill_losses.to(inputs.device)

    def __getattr__(self, name: str) -> Any:
        """Look up attributes of the student, under the names that configs use."""
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
        """Compute losses, predictions or, in any other mode, the student's output."""
        if mode == 'loss':
            return self.loss(inputs, data_samples or [])
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Return the student's losses and the distillation losses.

        A loss with a schedule or an automatic weight also logs its current weight, for
        example ``distill.weight_kd`` of ``loss_kd``; CTKD likewise logs its
        temperature.
        """
        if self.teacher is None:
            raise RuntimeError(
                'a Distiller has no teacher before init_weights(); call it first'
            )
        if self.teacher.class_map is None:
            self.map_classes()
        active = [loss for loss in self.losses if loss.factor(self.progress)]
        teacher_outputs = self.teacher_outputs(inputs, active)
        student_taps = [loss.student_tap for loss in active]
        with record(self.student, student_taps) as student_outputs:
            losses = self.student(inputs, data_samples, mode='loss')
        self.wait_for_teacher(teacher_outputs)
        if not self.checked:
            for loss in active:
                loss.check_outputs(student_outputs, teacher_outputs, inputs)
                print_log(loss.describe(student_outputs, teacher_outputs), 'current')
            self.checked = True
        if 'loss' in losses:  # a classifier's; MMEngine logs the total as 'loss'
            losses['task.loss'] = losses.pop('loss')
        outputs = dict(student=student_outputs, teacher=teacher_outputs)
        self.recorded = {
            f'{network}.{tap}': output.detach()
            for network, by_tap in outputs.items()
            for tap, output in by_tap.items()
        }
        target = stack_targets(data_samples)
        task, _ = self.student.parse_losses(losses)
        is_map = target is not None and target.ndim == 3
        inside = inside_images(inputs, data_samples) if is_map else None
        added: dict[str, Tensor] = {}
        with self.stopwatch.measure(LOSSES):
            for loss in self.losses:
                added |= loss(
                    student_outputs,
                    teacher_outputs,
                    target,
                    inside,
                    self.progress,
                    task,
                )
        self.stopwatch.measure_backward(
            LOSSES, added.values(), tensors_of(list(losses.values()))
        )
        losses |= added
        if self.unlabeled is not None:
            losses |= self.unlabeled.compare(self, maps=is_map)
        return losses

    def teacher_outputs(
        self, inputs: Tensor, losses: Sequence[TappedLoss]
    ) -> Mapping[str, Tensor]:
        """Return the outputs of the teacher that losses compare, and measure its time.

        They can be used after :meth:`wait_for_teacher`.

        Args:
            inputs: Images preprocessed for the student.
            losses: Those whose taps are needed.
        """
        with self.stopwatch.measure(TEACHER):
            return self.teacher.outputs(inputs, teacher_taps(losses))

    def wait_for_teacher(self, outputs: Mapping[str, Tensor]) -> None:
        """Wait for :meth:`teacher_outputs`, on a GPU without stopping the process."""
        with self.stopwatch.measure(TEACHER):
            self.teacher.wait(outputs)

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Return the student's predictions, and the teacher's with ``compares``."""
        if self.compares and data_samples is not None:
            return predict_both(self, inputs, data_samples)
        return self.student(inputs, data_samples, mode='predict')

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return the student's state dict, so that checkpoints are the student's."""
        return self.student.state_dict(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object
    ) -> None:
        """Load a plain student's state dict; keep the parameters of the losses."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name = key.removeprefix(prefix)
            state_dict[f'{prefix}student.{name}'] = state_dict.pop(key)
        self.distill_losses.state_dict(
            destination=state_dict, prefix=f'{prefix}distill_losses.'
        )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, *args: Any, **kwargs: Any) -> 'Distiller':
        """Apply a change of device or precision to the teacher, too."""
        super()._apply(*args, **kwargs)
        if self.teacher is not None:
            self.teacher._apply(*args, **kwargs)
        return self
