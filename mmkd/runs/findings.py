"""Signs that a training will not give what is expected, as lines that name the fix.

Hooks log them as warnings while a training runs, ``mmkd doctor`` reports them
afterwards. The functions decide on plain numbers and import nothing of a training.

They are hints, therefore the thresholds are generous:

* Batch size: any difference. The learning rate belongs to one batch size.
* Teacher: not above the student at all. A teacher that is just better may still help.
* Losses: a factor of ``BALANCE`` = 20. Values say little about gradients, therefore
  only what is beyond a usual difference of the two: at 1/20 the noise of the batches is
  larger than a loss, at 20 the labels hardly count.
* Losses: ``PATIENCE`` = 50 iterations in a row, for single batches vary, and a new loss
  takes some steps to settle.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

METRICS = ('mIoU', 'accuracy/top1')  # compared by default; higher is better
BALANCE = 20
PATIENCE = 50
DISTILL = 'distill.'  # prefix of the distillation losses in the log
MISSING_CLASSES = 'train_dataloader: an epoch of labels has no pixel of class '


def batch_size_finding(config: Mapping, processes: int) -> str | None:
    """Compare the images of an optimizer step with what the learning rate is for.

    Args:
        config: Config of a training; without ``auto_scale_lr.base_batch_size`` or a
            ``train_dataloader.batch_size``, or where MMEngine scales the learning rate,
            nothing is found.
        processes: The world size.
    """
    scaling = config.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    batch_size = (config.get('train_dataloader') or {}).get('batch_size')
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
    if batches > 1:  # which MMEngine's scaling does not know
        factors += f' x {batches} accumulated batches'
        fix = f'multiply the learning rate by {images / base:.3g}'
    return (
        f'auto_scale_lr.base_batch_size: the learning rate is for {base} images a '
        f'step, but {factors} = {images}; {fix}, or change train_dataloader.batch_size'
    )


def teacher_finding(
    teacher: Mapping[str, float],
    student: Mapping[str, float],
    images: Sequence[int] = (0, 0),
) -> str | None:
    """Compare both networks by mIoU or top-1 accuracy.

    Args:
        teacher: The teacher's metrics.
        student: The student's, under the same names.
        images: Number of validation images that the teacher was measured on, and of
            all. Default: it was measured on all.
    """
    name = next((m for m in METRICS if m in teacher and m in student), None)
    if name is None or not teacher[name] <= student[name]:
        return None
    measured, total = images
    part = f' on {measured} of {total} images' if measured < total else ''
    fix = 'use a better teacher, and check its config and checkpoint'
    if part:
        fix = (
            "measure it on all, custom_hooks=[dict(type='mmkd.TeacherMetricHook', "
            f'images=-1)]; if it is not better there either, {fix}'
        )
    return (
        f'teacher: its {name} of {teacher[name]:.2f}{part} is not above the '
        f"student's {student[name]:.2f}; {fix}"
    )


class LossBalance:
    """Find distillation losses that stay far from the task's loss.

    Each is found once in a direction.
    """

    def __init__(self) -> None:
        self._streaks: dict[str, tuple[str, int]] = {}  # direction, first iteration
        self._found: set[tuple[str, str]] = set()

    def update(
        self, iteration: int, losses: Mapping[str, float], complete: Collection[str]
    ) -> list[str]:
        """Return what an iteration's losses add.

        Args:
            iteration: Number of the iteration, from 1.
            losses: Weighted losses as logged. The task's are all that do not begin with
                ``distill.``, without their sum, ``loss``.
            complete: Names, as in ``distill_losses``, of the losses whose schedule
                gives them their full weight.
        """
        task = sum(
            value
            for name, value in losses.items()
            if name != 'loss' and not name.startswith(DISTILL)
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
    """Return on which side a loss is far from the task's; one of 0 is switched off."""
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
        f'{limit} for {PATIENCE} iterations: {loser} has hardly an effect; unless that '
        f'is intended, {verb} {key}.loss_weight'
    )


def missing_classes_finding(classes: Iterable[str], ignored: int) -> str:
    """Name classes that an epoch of labels never had while it had the ignored value."""
    return (
        f'{MISSING_CLASSES}{", ".join(classes)}, but some of {ignored}, which is '
        'ignored; if a class is stored as that value, correct the label files or '
        'reduce_zero_label of the dataset'
    )


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"" if number == 1 else "es"}'
