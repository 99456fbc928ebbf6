"""Agreement of the logits of two networks in classes and activation."""

from collections.abc import Callable, Sequence

from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.errors import UserError
from mmkd.losses.logit_loss import TYPICAL_STD, LogitLoss

from .class_map import ClassMap
from .head_settings import activation_of, conversion, loss_settings
from .tap_checks import check_channels
from .taps import num_classes, num_outputs
from .teacher_choice import TeacherTap


class LogitMatch:
    """Agreement of the logits that a loss compares.

    Completes the settings of the loss by those of both heads, converts the teacher's
    logits to the student's activation, and maps both to the same classes.

    Args:
        key: Config key of the loss.
        loss: The loss; a :class:`LogitLoss`, or any module.
        named: Arguments in its config.
    """

    def __init__(self, key: str, loss: nn.Module, named: set[str]) -> None:
        self.key = key
        self.loss = loss
        self.named = named
        self.class_map: ClassMap | None = None
        self.convert: Callable[[Tensor], Tensor] | None = None
        self.settled = False
        # Numbers of channels of student and teacher, if known; None of several
        # teachers, whose average has as many as they have classes.
        self.channels: tuple[int, int | None] | None = None

    def find(
        self, student: nn.Module, student_tap: str, teachers: Sequence[TeacherTap]
    ) -> None:
        """Find what the heads of the networks know.

        Args:
            student: The student.
            student_tap: Name of its tap.
            teachers: Taps of the teachers.

        Raises:
            UserError: for outputs that the loss cannot compare.
        """
        self.taps = student_tap, ' and '.join(each.full for each in teachers)
        self.found = loss_settings(student, student_tap)
        activations = [activation_of(each.model, each.tap) for each in teachers]
        self.teacher_activation = activations[0]
        if len(set(activations)) > 1:
            raise UserError(
                f'{self.key}.teacher: the outputs of some teachers are sigmoids, of '
                'others a softmax, and have no mean; add a loss for each teacher'
            )
        if isinstance(self.loss, LogitLoss):
            self._check_maps(self.loss, student)
        ours = num_outputs(student, student_tap)
        if ours is not None and len(teachers) > 1:
            self.channels = ours, None
            return
        model = teachers[0].model
        theirs = num_outputs(model, teachers[0].tap)
        if ours is None or theirs is None:
            return
        self.channels = ours, theirs
        # Different numbers of classes are mapped first; see set_class_map.
        classes = num_classes(student), num_classes(model)
        if ours == theirs or 1 in classes or classes != self.channels:
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
        if not one_to_two:
            features = getattr(self.loss, 'over_positions', False)
            check_channels(self.key, self.taps, (ours, theirs), features)

    def _check_maps(self, loss: LogitLoss, student: nn.Module) -> None:
        """Raise a UserError if a loss of maps compares vectors."""
        tap = self.taps[0]
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

    def align(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return both logits over the same classes and of the same activation."""
        class_map = self.class_map
        if class_map is not None and not class_map.applies(student, teacher):
            class_map = None
        if not self.settled:  # before the ignored label is used
            kept = class_map and len(class_map.kept)
            self._settle(kept or student.shape[1], kept or teacher.shape[1])
        if class_map is not None:
            student, teacher, target = class_map.align(
                student, teacher, target, self.ignore_index
            )
        if self.convert is not None:
            teacher = self.convert(teacher)
        return student, teacher, target

    def set_class_map(self, class_map: ClassMap) -> None:
        """Set the map of outputs over the teacher's classes.

        Raises:
            UserError: if ignored pixels would have the label of a class.
        """
        ours, theirs = class_map.counts
        averaged = self.channels == (ours, None)
        if averaged or (not class_map.identity and self.channels == (ours, theirs)):
            self._settle(len(class_map.kept), len(class_map.kept))
        ignored = self.ignore_index
        is_class = ignored is not None and 0 <= ignored < len(class_map.kept)
        if not class_map.complete and is_class:
            raise UserError(
                f'{self.key}.ignore_index: {ignored} is also a class, which is not '
                'possible if the class_map of a teacher leaves classes out; ignore '
                '255, or leave this class out, too'
            )
        self.class_map = class_map

    @property
    def ignore_index(self) -> int | None:
        """Label of ignored pixels; None if the loss ignores none."""
        return getattr(self.loss, 'ignore_index', 255)
