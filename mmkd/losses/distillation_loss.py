"""Base class of all losses between the outputs of two networks."""

from abc import ABCMeta, abstractmethod

import torch
from torch import Tensor, nn

from mmkd.functional.checks import at_least_float32, check_weights

from .adapters import Adapter
from .schedule import Progress

# Label of pixels outside of the image, which no loss uses.
PADDING = -(2**15)


class DistillationLoss(nn.Module, metaclass=ABCMeta):
    """Base class of all losses between the outputs of two networks.

    A loss is called as ``loss(student, teacher, target=None)`` with the outputs of two
    modules, and returns ``loss_weight`` times :meth:`value`. This class applies the
    adapter, disables autocast and detaches the teacher's output.

    Args:
        loss_weight: Factor of the loss, >= 0. Default 1.
        ignore_index: Label of ignored pixels; maps only. Default 255. None: no label is
            ignored, so that pixels without a class are compared, too.
        align_corners: Option of the bilinear resizing of maps. Default False, as in
            mmseg's heads.
        adapter: Trained module that maps the student's output to the teacher's number
            of channels; see :class:`Adapter`. Default None.

    Raises:
        ValueError: for an argument out of range.
    """

    # Taps if the config names none; '' is the module that outputs the logits.
    student_tap: str = ''
    teacher_tap: str = ''

    def __init__(
        self,
        loss_weight: float = 1.0,
        ignore_index: int | None = 255,
        align_corners: bool = False,
        adapter: str | dict | None = None,
    ) -> None:
        super().__init__()
        check_weights(loss_weight=loss_weight)
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self.align_corners = align_corners
        self.adapter = None if adapter is None else Adapter(adapter)
        # Progress of the run; the Distiller sets it before each iteration.
        self.progress = Progress()

    def forward(
        self, student: Tensor, teacher: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Return the weighted loss of a batch; the target is (N,) or (N, H', W')."""
        student, teacher = self.prepare(student, teacher.detach(), target)
        if self.adapter is not None:
            student = self.adapter(student)
        student, teacher = at_least_float32(student), at_least_float32(teacher)
        with torch.autocast(student.device.type, enabled=False):
            return self.loss_weight * self.value(student, teacher, target)

    @abstractmethod
    def prepare(
        self, student: Tensor, teacher: Tensor, target: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Check the shapes of the outputs, and return them as vectors or maps."""

    @abstractmethod
    def value(self, student: Tensor, teacher: Tensor, target: Tensor | None) -> Tensor:
        """Return the unweighted loss of outputs in float32 or better."""

    def build_adapter(self, student: Tensor, teacher: Tensor) -> None:
        """Build the adapter for the channels of sample outputs of both networks."""
        if self.adapter is not None:
            student, teacher = self.prepare(student, teacher, None)
            self.adapter.build(student.shape[1], teacher.shape[1])

    @property
    def needs_labels(self) -> bool:
        """True if the loss uses labels for more than the mask of ignored pixels.

        Such a loss is not used on unlabeled images.
        """
        return False

    def valid_pixels(self, target: Tensor | None) -> Tensor | None:
        """Return the mask of a target; None, all pixels valid, without a target."""
        return None if target is None else target != self.ignored

    @property
    def ignored(self) -> int:
        """Label of pixels that are not compared."""
        return PADDING if self.ignore_index is None else self.ignore_index

    def unlabeled_target(self, inside: Tensor) -> Tensor:
        """Return a target without classes, of pixels with and without an image.

        Args:
            inside: Boolean (N, H, W), True within an image, False in its padding.
        """
        return torch.where(inside, self.ignored + 1, self.ignored)

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if an argument is invalid for the length of the run."""

    def logged(self) -> dict[str, Tensor]:
        """Return scalars to log with the loss, by name."""
        return {}
