"""Schedules of loss weights, as pure functions of the progress of a run."""

from dataclasses import dataclass

from mmkd.functional.checks import check_flags, check_number


@dataclass(frozen=True)
class Progress:
    """Current iteration, and length of a run.

    Args:
        iteration: Number of completed iterations, i.e. the 0-based index of the current
            one. Default 0.
        epoch: Number of completed epochs. Default 0.
        max_iterations: Length of the run in iterations. Default None: unknown.
        max_epochs: Length of the run in epochs. Default None: the run is not divided
            into epochs.
    """

    iteration: int = 0
    epoch: int = 0
    max_iterations: int | None = None
    max_epochs: int | None = None


@dataclass(frozen=True)
class WeightSchedule:
    """Linear warm-up of a loss weight, with an optional stop.

    A pure function of the progress of the run, so that resuming needs no state. A
    duration is either a float, a fraction in [0, 1] of the run's iterations, or an int,
    a number of iterations (of epochs with ``by_epoch``).

    Args:
        warmup: Duration until the full weight; step i (from 0) of n has the share
            (i + 1) / n of it. Default 0: no warm-up.
        stop: Duration after which the weight is 0. Default None: never.
        by_epoch: An int duration is a number of epochs. Default False.

    Raises:
        ValueError: for a negative duration, a fraction above 1, or ``stop=0``.

    Example:
        >>> schedule = WeightSchedule(warmup=0.5)
        >>> [schedule.factor(Progress(i, max_iterations=8)) for i in (0, 1, 3, 7)]
        [0.25, 0.5, 1.0, 1.0]
    """

    warmup: float = 0
    stop: float | None = None
    by_epoch: bool = False

    def __post_init__(self) -> None:
        check_duration(self.warmup, 'schedule.warmup')
        check_flags(**{'schedule.by_epoch': self.by_epoch})
        if self.stop is not None:
            check_duration(self.stop, 'schedule.stop')
            if not self.stop:
                raise ValueError(
                    'schedule.stop must be > 0, but is 0; remove the loss, or set None '
                    'to keep it until the end'
                )

    def factor(self, progress: Progress) -> float:
        """Return the current share of the full weight, 0 to 1."""
        if self.stop is not None and elapsed(self.stop, self.by_epoch, progress) >= 1:
            return 0.0
        return min(1.0, elapsed(self.warmup, self.by_epoch, progress, ahead=1))

    def check(self, progress: Progress) -> None:
        """Raise a ValueError if the schedule is invalid for the length of the run."""
        check_fits(self.warmup, self.by_epoch, progress, 'schedule.warmup')
        if self.stop is not None:  # a stop after the end of the run has no effect
            check_unit(self.stop, self.by_epoch, progress, 'schedule.stop')


def check_duration(duration: float, name: str) -> None:
    """Raise an error unless a duration is a number >= 0 and, as a float, at most 1."""
    check_number(name, duration)
    if duration < 0:
        raise ValueError(f'{name} must be >= 0, but is {duration}')
    if isinstance(duration, float) and duration > 1:
        raise ValueError(
            f'{name}: {duration} is a float, a fraction of the run, and must be at '
            'most 1; use an int for a number of iterations or epochs'
        )


def check_unit(duration: float, by_epoch: bool, progress: Progress, name: str) -> None:
    """Raise a ValueError for a duration in epochs if the run counts iterations."""
    counts_epochs = by_epoch and duration and not isinstance(duration, float)
    if counts_epochs and progress.max_epochs is None:
        raise ValueError(
            f'{name}: by_epoch=True, but this run counts iterations; give a fraction '
            'of the run, or iterations with by_epoch=False'
        )


def check_fits(duration: float, by_epoch: bool, progress: Progress, name: str) -> None:
    """Raise a ValueError for a duration longer than the run or in the wrong unit."""
    check_unit(duration, by_epoch, progress, name)
    length = progress.max_epochs if by_epoch else progress.max_iterations
    if isinstance(duration, float) or length is None or duration <= length:
        return
    unit = 'epochs' if by_epoch else 'iterations'
    raise ValueError(
        f'{name}: {duration} {unit} are more than the {length} of the run; decrease '
        'it, or give a fraction of the run such as 0.05'
    )


def elapsed(
    duration: float, by_epoch: bool, progress: Progress, ahead: int = 0
) -> float:
    """Return the elapsed share of a duration, above 1 after its end.

    Args:
        duration: Fraction of the run, or number of iterations or epochs; see
            :class:`WeightSchedule`. A duration of 0 has always elapsed.
        by_epoch: An int duration is a number of epochs.
        progress: Current progress of the run.
        ahead: Number of steps to add to the progress. Default 0.

    Raises:
        ValueError: for a fraction of a run of unknown length.
    """
    if not duration:
        return 1.0
    if not isinstance(duration, float):
        step = progress.epoch if by_epoch else progress.iteration
        return (step + ahead) / duration
    if progress.max_iterations is None:
        raise ValueError(
            f'a duration of {duration} is a fraction of the run, but the length of the '
            'run is not known here; give a number of iterations'
        )
    return (progress.iteration + ahead) / (duration * progress.max_iterations)
