"""Distillation loss with the outputs that it compares and its schedule."""

from collections.abc import Callable, Mapping

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from mmkd.losses import Adapter, FeatureLoss
from mmkd.losses.logit_loss import TYPICAL_STD, LogitLoss
from mmkd.losses.schedule import Progress, WeightSchedule
from mmkd.registry import MODELS, qualified

from .class_map import ClassMap
from .head_settings import activation_of, conversion, loss_settings
from .tap_checks import check_taps
from .taps import find_tap, num_classes, num_outputs


class TappedLoss:
    """Distillation loss between the outputs of two modules, built from its config.

    Args:
        name: Name of the loss in ``distill_losses``; must contain "loss".
        config: Arguments of the loss, and optionally ``student`` and ``teacher``, the
            taps, i.e. the modules whose outputs are compared (default: see
            :func:`default_tap`), and ``schedule``, the arguments of a
            :class:`WeightSchedule` (default: a constant weight).

    Raises:
        UserError: for an invalid name, type or argument; the message names the config
            key.
    """

    def __init__(self, name: str, config: Mapping) -> None:
        config = dict(config)
        self.name = name
        self.key = f'distill_losses.{name}'
        if 'loss' not in name or '.' in name:
            raise UserError(
                f"{self.key}: the name must contain 'loss', as MMEngine trains nothing "
                f"else, and no dot; rename it to 'loss_{name.replace('.', '_')}'"
            )
        taps = {name: config.pop(name, None) for name in ('student', 'teacher')}
        self.class_map: ClassMap | None = None
        schedule = config.pop('schedule', None)
        self.named = set(config)
        self.convert: Callable[[Tensor], Tensor] | None = None
        self.settled = False
        settings = dict(config)
        if schedule is not None:
            settings['schedule'] = dict(schedule, type=WeightSchedule)
        try:
            with naming_keys(Config({'distill_losses': {name: settings}})):
                self.schedule = build_schedule(schedule)
                self.loss = MODELS.build(qualified(config))
        except UserError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f'{self.key}: {error.args[0]}') from error
        # '' stands for the logits; find_taps sets the name.
        self.student_tap: str = taps['student'] or getattr(self.loss, 'student_tap', '')
        self.teacher_tap: str = taps['teacher'] or getattr(self.loss, 'teacher_tap', '')

    @property
    def adapter(self) -> Adapter | None:
        """The loss's adapter of the student's output; None without one."""
        return getattr(self.loss, 'adapter', None)

    def build_adapter(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
    ) -> None:
        """Build the adapter for sample outputs of the taps.

        Raises:
            UserError: for outputs that the loss cannot compare.
        """
        student = student_outputs[self.student_tap]
        teacher = teacher_outputs[self.teacher_tap]
        try:
            self.loss.build_adapter(student, teacher)
        except ValueError as error:
            raise UserError(f'{self.key}: {error}') from error

    def find_taps(self, student: nn.Module, teacher: nn.Module) -> None:
        """Resolve both taps and check that they have the same number of classes.

        Raises:
            UserError: for an unknown module or mismatched outputs; the message names
                the config key.
        """
        key = f'{self.key}.student'
        self.student_tap = find_tap(student, self.student_tap or None, key)
        key = f'{self.key}.teacher'
        self.teacher_tap = find_tap(
            teacher, self.teacher_tap or None, key, frozen=True
        )
        theirs = num_outputs(teacher, self.teacher_tap)
        ours = num_outputs(student, self.student_tap)
        if isinstance(self.loss, FeatureLoss) or self.adapter is not None:
            return
        # Outputs over classes are mapped; see set_class_map.
        self.classes = num_classes(student), num_classes(teacher)
        self.found = loss_settings(student, self.student_tap)
        self.teacher_activation = activation_of(teacher, self.teacher_tap)
        if isinstance(self.loss, LogitLoss):
            self._check_maps(self.loss, student)
        if ours is not None and theirs is not None:
            self._settle(ours, theirs)

    def _settle(self, ours: int, theirs: int) -> None:
        """Complete the loss's settings for the numbers of channels of both outputs.

        These are known when the taps are found, or else from the first batch.

        Raises:
            UserError: for outputs that the loss cannot compare.
        """
        self.settled = True
        if isinstance(self.loss, LogitLoss):
            self._take_settings(self.loss, ours, theirs)
            self._replace_standardization(self.loss, ours)
        one_to_two = {theirs, ours} == {1, 2} and self.convert is not None
        if theirs != ours and not one_to_two and (ours, theirs) != self.classes:
            raise UserError(
                f"{self.key}.teacher: the teacher's '{self.teacher_tap}' outputs "
                f"{theirs} classes, but the student's '{self.student_tap}' {ours}; use "
                'a teacher trained on the same classes, or other taps'
            )

    def _check_maps(self, loss: LogitLoss, student: nn.Module) -> None:
        """Raise a UserError if a loss of maps compares vectors."""
        tap = self.student_tap
        in_head = tap.split('.')[0] == 'head' and not hasattr(student, 'decode_head')
        is_linear = isinstance(student.get_submodule(tap), nn.Linear)
        if loss.over_positions and (in_head or is_linear):
            raise UserError(
                f"{self.key}: {type(loss).__name__} compares maps, but the student's "
                f"'{tap}' outputs one vector per image; use KDLoss, or name modules of "
                'the backbones with student=... and teacher=...'
            )

    def _take_settings(self, loss: LogitLoss, ours: int, theirs: int) -> None:
        """Set what the loss's config does not name by the heads of both networks."""
        if ours == 1:
            self.found['activation'] = 'sigmoid'
        news = {
            name: value
            for name, value in self.found.items()
            if name not in self.named and value not in (getattr(loss, name), 'softmax')
        }
        if news:
            listed = ', '.join(f'{name}={value!r}' for name, value in news.items())
            print_log(f"{self.key}: {listed}, as in the student's head", 'current')
        try:
            loss.set_activation(news.pop('activation', loss.activation))
            loss.check_channels(ours)
        except ValueError as error:
            raise UserError(f'{self.key}: {error}') from error
        for name, value in news.items():
            setattr(loss, name, value)
        activation = loss.activation or 'softmax'
        other = 'sigmoid' if theirs == 1 else self.teacher_activation or activation
        self.convert = conversion(activation, other, ours, theirs)
        if self.convert or activation == other or 'activation' in self.named:
            return
        if not loss.over_positions:
            raise UserError(
                f"{self.key}: the teacher's outputs are sigmoids, the student's a "
                'softmax over the classes; use a teacher with a softmax, or set '
                "activation='softmax' to compare the logits as they are"
            )

    def _replace_standardization(self, loss: LogitLoss, outputs: int) -> None:
        """Compare plain logits if standardized ones would be constant."""
        if not loss.standardize or loss.over_positions:
            return
        if loss.is_bernoulli:
            reason = 'a sigmoid has a single logit'
        elif outputs < 3:
            reason = 'two standardized logits are always +-0.71'
        else:
            return
        off = 'standardize is'
        if getattr(loss, 'scale_compensated', False):
            off = 'standardize and scale_compensated are'
        loss.replace_standardization()
        print_log(
            f'{self.key}: {off} off, because {reason}; '
            f'plain logits are compared with tau={loss.tau:g} and '
            f'loss_weight={loss.loss_weight:g}, which are the same at a standard '
            f'deviation of {TYPICAL_STD:g}',
            'current',
        )

    def _aligned(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return both logits over the same classes and of the same activation."""
        if self.class_map is not None and self.class_map.applies(student, teacher):
            student, teacher, target = self.class_map.align(
                student, teacher, target, self.ignore_index
            )
        if not self.settled:
            self._settle(student.shape[1], teacher.shape[1])
        if self.convert is not None:
            teacher = self.convert(teacher)
        return student, teacher, target

    def check_outputs(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        images: Tensor,
    ) -> None:
        """Raise a UserError if the outputs of the taps cannot be compared."""
        student = student_outputs[self.student_tap]
        teacher = teacher_outputs[self.teacher_tap]
        if student.ndim == teacher.ndim:
            student, teacher, _ = self._aligned(student, teacher, None)
        taps = self.student_tap, self.teacher_tap
        check_taps(self.key, taps, student, teacher, images)

    def set_class_map(self, class_map: ClassMap) -> None:
        """Set the map of outputs over the teacher's classes.

        Raises:
            UserError: if ignored pixels would have the label of a class.
        """
        ignored = self.ignore_index
        if not class_map.complete and 0 <= ignored < len(class_map.kept):
            raise UserError(
                f'{self.key}.ignore_index: {ignored} is also a class, which is not '
                'possible if teacher.class_map leaves classes out; ignore 255, or '
                'leave this class out, too'
            )
        self.class_map = class_map

    @property
    def ignore_index(self) -> int:
        """Label of ignored pixels."""
        return getattr(self.loss, 'ignore_index', 255)

    def check_run(self, progress: Progress) -> None:
        """Raise a UserError if the schedule is invalid for the length of the run."""
        try:
            if self.schedule is not None:
                self.schedule.check(progress)
            self.loss.check_run(progress)
        except ValueError as error:
            raise UserError(f'{self.key}.{error}') from error

    def factor(self, progress: Progress) -> float:
        """Return the scheduled share of the loss's weight."""
        return 1.0 if self.schedule is None else self.schedule.factor(progress)

    def __call__(
        self,
        student_outputs: Mapping[str, Tensor],
        teacher_outputs: Mapping[str, Tensor],
        target: Tensor | None,
        progress: Progress,
    ) -> dict[str, Tensor]:
        """Return the weighted loss and further values to log, by name.

        Args:
            student_outputs: Outputs of the student by tap.
            teacher_outputs: Outputs of the teacher by tap.
            target: Labels of the batch.
            progress: Progress of the run.
        """
        self.loss.progress = progress
        factor = self.factor(progress)
        if factor:
            student = student_outputs[self.student_tap]
            teacher = teacher_outputs[self.teacher_tap]
            student, teacher, target = self._aligned(student, teacher, target)
            try:
                value = factor * self.loss(student, teacher, target)
            except (TypeError, ValueError) as error:
                raise UserError(f'{self.key}: {error}') from error
        else:  # keep a graph, since DDP waits for the gradient of every parameter
            zeros = (0 * parameter.sum() for parameter in self.loss.parameters())
            value = sum(zeros, torch.zeros(()))
        logged = self.loss.logged()
        if self.schedule is not None:
            logged['weight'] = torch.tensor(factor * self.loss.loss_weight)
        return {f'distill.{self.name}': value} | {
            f'distill.{self.name.replace("loss", what)}': number
            for what, number in logged.items()
        }


def build_schedule(config: Mapping | None) -> WeightSchedule | None:
    """Build the schedule of a loss; return None without one."""
    return None if config is None else WeightSchedule(**config)
