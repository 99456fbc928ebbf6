"""Base class of all losses between the outputs of two networks."""

from abc import ABCMeta, abstractmethod
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mmkd.functional import label_edges
from mmkd.functional.checks import at_least_float32, check_flags, check_weights
from mmkd.functional.edges import check_edge_width
from mmkd.functional.masking import zero_invalid
from mmkd.functional.resizing import resize_target

from .adapters import Adapter
from .schedule import Progress

# Label of pixels outside of the image, which no loss uses, and of pixels of an image
# without labels.
PADDING, UNLABELED = -(2**15), -(2**14)

Where = Literal['all', 'edge', 'body']


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
        where: Pixels of a map that are compared: ``'all'``, the default; ``'edge'``,
            those close to another class; or ``'body'``, the others. The last two need
            a label map, on which :func:`mmkd.functional.label_edges` finds edges before
            it is resized to the map's size.
        edge_width: Pixels of the label on each side of a boundary that are an edge.
            Default 4.

    Raises:
        ValueError: for an argument out of range, or ``'edge'`` and ``'body'`` without
            maps or without a label map.
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
        where: Where = 'all',
        edge_width: int = 4,
    ) -> None:
        super().__init__()
        check_weights(loss_weight=loss_weight)
        check_flags(align_corners=align_corners)
        if not isinstance(ignore_index, int | None):
            raise TypeError(
                f'ignore_index must be an integer or None, but is {ignore_index!r}'
            )
        if where not in get_args(Where):
            raise ValueError(f"where must be 'all', 'edge' or 'body', not {where!r}")
        check_edge_width(edge_width)
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self.align_corners = align_corners
        self.adapter = None if adapter is None else Adapter(adapter)
        self.where = where
        self.edge_width = edge_width
        # Progress of the run; the Distiller sets it before each iteration.
        self.progress = Progress()

    def forward(
        self, student: Tensor, teacher: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Return the weighted loss of a batch; the target is (N,) or (N, H', W')."""
        student, teacher = self.prepare(student, teacher.detach(), target)
        if self.adapter is not None:
            student = self.adapter(self.without_ignored(student, target))
        if self.where != 'all':
            target = self.select(student, target)
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
        return self.where != 'all'

    def without_ignored(self, student: Tensor, target: Tensor | None) -> Tensor:
        """Return maps that are 0 at ignored pixels, as the adapter's input.

        Otherwise these would affect an adapter's statistics, and NaN its gradient.
        """
        if student.ndim != 4 or target is None or target.ndim != 3:
            return student
        mask = self.valid_pixels(resize_target(target, student.shape[2:]))
        return zero_invalid(student, mask)

    def select(self, student: Tensor, target: Tensor | None) -> Tensor:
        """Return the target in which pixels that are not compared are ignored."""
        is_map, has_labels = student.ndim == 4, target is not None and target.ndim == 3
        if target is None or not (is_map and has_labels):
            found = 'have no label map' if is_map else 'are vectors'
            raise ValueError(
                f'where={self.where!r} compares maps at pixels that the labels select, '
                f"but the outputs {found}; set where='all'"
            )
        edges = label_edges(target, self.edge_width, self.ignored)
        return target.where(edges == (self.where == 'edge'), self.ignored)

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
        return torch.where(inside, UNLABELED, self.ignored)

    def check_run(self, progress: Progress) -> None:
        """Raise a ValueError if an argument is invalid for the length of the run."""

    def logged(self) -> dict[str, Tensor]:
        """Return scalars to log with the loss, by name."""
        return {}
