"""Warnings about likely mistakes in a training, each one line that names the fix.

Hooks log them during training, and ``mmkd doctor`` reports them afterwards. The
functions work on plain numbers, independent of a running training.

The warnings are hints, so the thresholds are generous:

* Batch size: any difference, since a learning rate is chosen for one batch size.
* Teacher: not better than the student. A slightly better teacher may still help.
* Losses: a factor of ``BALANCE`` = 20, since values of losses say little about their
  gradients. At 1/20 the variation between batches is larger than the loss; at 20 the
  task loss has hardly any effect.
* Losses: ``PATIENCE`` = 50 iterations in a row, since batches vary and a new loss needs
  some iterations to settle.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

METRICS = ('mIoU', 'accuracy/top1')  # compared by default; higher is better
BALANCE = 20
PATIENCE = 50
# Prefixes in the log of the distillation losses, and of those on unlabeled images.
DISTILL, UNLABELED = 'distill.', 'unlabeled.'
MISSING_CLASSES = '_dataloader: an epoch of labels has no pixel of class '


def batch_size_finding(config: Mapping, processes: int) -> str | None:
    """Compare the total batch size with the one that the learning rate is meant for.

    Args:
        config: Config of a training. The result is None without
            ``auto_scale_lr.base_batch_size`` or ``train_dataloader.batch_size``, or if
            MMEngine scales the learning rate.
        processes: The world size.
    """
    scaling = config.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    batch_size: Any = (config.get('train_dataloader') or {}).get('batch_size')
    wrapper = config.get('optim_wrapper') or {}
    batches = wrapper.get('accumulative_counts') or 1
    numbers = all(isinstance(n, int) for n in (base, batch_size, batches))
    if scaling.get('enable') or not numbers or not base:
        return None
    images = processes * batch_size * batches
    if images == base:
        return None
    factors = f'{_count(processes, "process")} x batch size {batch_size}'
    fix = 'add --cfg-options auto_scale_lr.enable=True'
    if batches > 1:  # MMEngine's scaling does not consider accumulation
        factors += f' x {batches} accumulated batches'
        fix = f'multiply the learning rate by {images / base:.3g}'
    return (
        f'auto_scale_lr.base_batch_size: the learning rate is for {base} images per '
        f'step, but {factors} = {images}; {fix}, or change train_dataloader.batch_size'
    )


def teacher_finding(
    teacher: Mapping[str, float],
    student: Mapping[str, float],
    images: Sequence[int] = (0, 0),
) -> str | None:
    """Compare teacher and student by mIoU or top-1 accuracy.

    Args:
        teacher: Metrics of the teacher.
        student: Metrics of the student, under the same names.
        images: Number of validation images used for the teacher, and of all validation
            images. Default: all were used.
    """
    name = next((m for m in METRICS if m in teacher and m in student), None)
    if name is None or not teacher[name] <= student[name]:
        return None
    measured, total = images
    part = f' on {measured} of {total} images' if measured < total else ''
    fix = 'use a better teacher, and check its config and checkpoint'
    if part:
        fix = (
            'measure it on all images with '
            "custom_hooks=[dict(type='mmkd.TeacherMetricHook', images=-1)]; if it is "
            f'still not better, {fix}'
        )
    return (
        f'teacher: its {name} of {teacher[name]:.2f}{part} is not above the '
        f"student's {student[name]:.2f}; {fix}"
    )


def is_loss(name: str) -> bool:
    """Return True for the name of a logged loss, not of the time that losses take.

    Example:
        >>> is_loss('distill.loss_kd'), is_loss('time_losses'), is_loss('lr')
        (True, False, False)
    """
    return 'loss' in name and name != 'time_losses'


class LossBalance:
    """Detector of distillation losses of another magnitude than the task loss.

    Each loss is reported once per direction, too small or too large.
    """

    def __init__(self) -> None:
        self._streaks: dict[str, tuple[str, int]] = {}  # direction, first iteration
        self._found: set[tuple[str, str]] = set()

    def update(
        self, iteration: int, losses: Mapping[str, float], complete: Collection[str]
    ) -> list[str]:
        """Return the new findings after an iteration.

        Args:
            iteration: Number of the iteration, from 1.
            losses: Weighted losses as logged. Those without the prefix ``distill.`` or
                ``unlabeled.`` are task losses, except for the total, ``loss``.
            complete: Names, as in ``distill_losses``, of the losses that have their
                full weight, i.e. are not in a warm-up.
        """
        task = sum(
            value
            for name, value in losses.items()
            if name != 'loss' and not name.startswith((DISTILL, UNLABELED))
        )
        streaks, lines = {}, []
        for name in complete:
            value = losses.get(DISTILL + name, 0)
            far = _direction(value, task)
            if far is None:
                continue
            before, first = self._streaks.get(name, (far, iteration))
            first = first if before == far else iteration
            streaks[name] = far, first
            if iteration - first + 1 >= PATIENCE and (name, far) not in self._found:
                self._found.add((name, far))
                lines.append(_unbalanced(name, value / task, iteration, far))
        self._streaks = streaks
        return lines


def _direction(value: float, task: float) -> str | None:
    """Return 'below' or 'above' for a loss far from the task loss, else None.

    A loss of 0 is switched off and never reported.
    """
    if not (value > 0 and task > 0):
        return None
    if value * BALANCE < task:
        return 'below'
    return 'above' if value > BALANCE * task else None


def _unbalanced(name: str, ratio: float, iteration: int, far: str) -> str:
    key = f'distill_losses.{name}'
    limit, loser, verb = (f'1/{BALANCE}', 'it', 'raise')
    if far == 'above':
        limit, loser, verb = (str(BALANCE), 'the task', 'lower')
    return (
        f'{key}: {ratio:.3g} times the task loss at iteration {iteration}, and {far} '
        f'{limit} for {PATIENCE} iterations: {loser} has hardly any effect; unless '
        f'this is intended, {verb} {key}.loss_weight'
    )


def missing_classes_finding(split: str, classes: Iterable[str], ignored: int) -> str:
    """Describe classes that do not occur in an epoch, while ignored pixels do."""
    return (
        f'{split}{MISSING_CLASSES}{", ".join(classes)}, but pixels of {ignored}, which '
        'is ignored; if a class is stored as that value, correct the label files or '
        'reduce_zero_label of the dataset'
    )


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"" if number == 1 else "es"}'
