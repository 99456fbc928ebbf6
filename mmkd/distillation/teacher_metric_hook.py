"""Metric of the teacher, measured before training and logged with the student's."""

import math
from itertools import islice
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from mmkd.datasets.position_seeding import random_numbers_kept
from mmkd.errors import UserError
from mmkd.evaluation import FidelityMetric
from mmkd.registry import HOOKS
from mmkd.runs.findings import teacher_finding
from mmkd.runs.run_directory import CLASS_IOU, TEACHER

from .fast_path import title
from .teacher import Teacher
from .teacher_config import KEY
from .teachers import Teachers

if TYPE_CHECKING:
    from .distill_runner import DistillRunner


@HOOKS.register_module()
class TeacherMetricHook(Hook):
    """Measure the teacher's metric before the first iteration.

    This is the cheapest check of a teacher. The metric is logged as
    ``teacher/<metric>`` with each validation of the student; a resumed run keeps it.
    Of several teachers, that is the metric of their common predictions, and
    ``teacher.<name>/<metric>`` that of each. Warns once if the student is as good as
    the teacher.

    Args:
        images: Number of validation images; 0 for none, -1 for all, as for the student.
            Default 128, which is all of CamVid and a quarter of Cityscapes.

    Raises:
        UserError: for anything but an integer.
    """

    def __init__(self, images: int = 128) -> None:
        if not isinstance(images, int):
            raise UserError(
                'TeacherMetricHook.images: must be an integer, with -1 for all images, '
                f'but is {images!r}'
            )
        self.images = images
        self.warned = False

    def before_train(self, runner: 'DistillRunner') -> None:
        """Measure the teacher, unless the run is resumed."""
        if runner.iter == 0 and runner.val_loop is not None and self.images:
            teacher = runner.distiller.teacher
            measured = {each.key: each for each in teacher.members.values()}
            measured[KEY] = teacher  # the same, of a single teacher
            scalars: dict[str, float] = {}
            # Keep the random state of the training.
            with random_numbers_kept():
                for key, each in measured.items():
                    scalars |= self._measure(runner, each, key)
            runner.visualizer.add_scalars(scalars, step=0)
            runner.message_hub.update_info('teacher_metrics', scalars)

    @torch.no_grad()
    def _measure(
        self, runner: 'DistillRunner', teacher: Teacher | Teachers, key: str
    ) -> dict[str, float]:
        """Log a teacher's metric on validation images, using its own preprocessor.

        Returns:
            The metrics with their prefix.
        """
        loader = runner.val_dataloader
        every = runner.val_loop.evaluator.metrics
        # A FidelityMetric compares both networks, which run only in a validation.
        evaluator = Evaluator([m for m in every if not isinstance(m, FidelityMetric)])
        if not evaluator.metrics:
            return {}
        total = len(loader.dataset)
        images = total if self.images < 0 else min(self.images, total)
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        share = batch_size * get_world_size()
        batches = math.ceil(images / share)
        images = min(batches * share, total)
        runner.logger.info(f'Measuring the {key} on {images} of {total} images ...')
        for batch in islice(loader, batches):
            outputs = teacher.val_step(batch)
            evaluator.process(data_samples=outputs, data_batch=batch)
        scalars, texts = {}, []
        for name, value in evaluator.evaluate(images).items():
            if name.startswith(CLASS_IOU):
                continue
            number = as_number(value)
            if number is not None:
                scalars[name] = number
            texts.append(f'{name}: {value if number is None else f"{number:.4g}"}')
        values = ', '.join(texts)
        several = isinstance(teacher, Teachers)
        name = 'Mean of the teachers' if several else title(key)
        runner.logger.info(f'{name} on {images} of {total} images: {values}')
        runner.message_hub.update_info('teacher_images', [images, total])
        return {f'{key}/{name}': value for name, value in scalars.items()}

    def before_val_epoch(self, runner: 'DistillRunner') -> None:
        """Add the teacher's metric to the log of a validation."""
        scalars = runner.message_hub.get_info('teacher_metrics', {})
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'val/{name}', value)

    def after_val_epoch(
        self, runner: 'DistillRunner', metrics: dict[str, float] | None = None
    ) -> None:
        """Warn if the student is as good as the teacher."""
        scalars = runner.message_hub.get_info('teacher_metrics', {})
        teacher = {
            name.removeprefix(TEACHER): value
            for name, value in scalars.items()
            if name.startswith(TEACHER)
        }
        images = runner.message_hub.get_info('teacher_images', [0, 0])
        numbers = {name: as_number(value) for name, value in (metrics or {}).items()}
        student = {name: v for name, v in numbers.items() if v is not None}
        line = teacher_finding(teacher, student, images)
        if line and not self.warned:
            self.warned = True
            runner.logger.warning(line)


def as_number(value: object) -> float | None:
    """Convert a number, array or tensor of one element to float; None otherwise."""
    if isinstance(value, np.ndarray | torch.Tensor) and math.prod(value.shape) == 1:
        value = value.item()
    return float(value) if isinstance(value, Real) else None
