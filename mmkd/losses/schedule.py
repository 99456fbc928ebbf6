"""Schedules over a run, as pure functions of its position."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Position and length of a run.

    Args:
        iteration: Iterations done, the current one's index from 0. Default 0.
        epoch: Epochs done. Default 0.
        max_iterations: Length of the run. None, the default, if it is not known.
        max_epochs: The same in epochs. None, the default, if the run counts none.
    """

    iteration: int = 0
    epoch: int = 0
    max_iterations: int | None = None
    max_epochs: int | None = None


@dataclass(frozen=True)
class WeightSchedule:
    """Linear warm-up of a loss's weight, and an end.

    A pure function of the position in the run: resuming needs no state. A duration is a
    float, a fraction of the run's iterations in [0, 1], or an int, a number of
    iterations (of epochs with ``by_epoch``).

    Args:
        warmup: Duration until the full weight; step i of n (from 0) has (i + 1) / n of
            it. Default 0: none.
        stop: Duration after which the weight is 0. Default None: never.
        by_epoch: Count epochs where a duration is an int. Default False.

    Raises:
        ValueError: for a negative duration, a fraction above 1 or ``stop`` of 0.

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
        if self.stop is not None:
            check_duration(self.stop, 'schedule.stop')
            if not self.stop:
                raise ValueError('schedule.stop must be > 0, but is 0')

    def factor(self, progress: Progress) -> float:
        """Return the share of the weight at a position, 0 to 1."""
        if self.stop is not None and elapsed(self.stop, self.by_epoch, progress) >= 1:
            return 0.0
        return min(1.0, elapsed(self.warmup, self.by_epoch, progress, ahead=1))

    def check(self, progress: Progress) -> None:
        """Raise a ValueError if the schedule does not fit the length of the run."""
        check_fits(self.warmup, self.by_epoch, progress, 'schedule.warmup')
        if self.stop is not None:  # one after the end of the run has no effect
            check_unit(self.stop, self.by_epoch, progress, 'schedule.stop')


def check_duration(duration: float, name: str) -> None:
    """Raise a ValueError unless a duration is >= 0 and, as a float, at most 1."""
    if duration < 0:
        raise ValueError(f'{name} must be >= 0, but is {duration}')
    if isinstance(duration, float) and duration > 1:
        raise ValueError(
            f'{name}: {duration} is a float, a fraction of the run, and must be at '
            'most 1; write an int for a number of iterations or epochs'
        )


def check_unit(duration: float, by_epoch: bool, progress: Progress, name: str) -> None:
    """Raise a ValueError for epochs in a run that counts none."""
    counts_epochs = by_epoch and duration and not isinstance(duration, float)
    if counts_epochs and progress.max_epochs is None:
        raise ValueError(
            f'{name}: by_epoch=True, but this run counts iterations; give a fraction '
            'of the run, or iterations with by_epoch=False'
        )


def check_fits(duration: float, by_epoch: bool, progress: Progress, name: str) -> None:
    """Raise a ValueError unless a run has the unit of a duration and lasts as long."""
    check_unit(duration, by_epoch, progress, name)
    length = progress.max_epochs if by_epoch else progress.max_iterations
    if isinstance(duration, float) or length is None or duration <= length:
        return
    unit = 'epochs' if by_epoch else 'iterations'
    raise ValueError(
        f'{name}: {duration} {unit} are more than the {length} of the run; shorten '
        'it, or give a fraction of the run such as 0.05'
    )


def elapsed(
    duration: float, by_epoch: bool, progress: Progress, ahead: int = 0
) -> float:
    """Return the elapsed share of a duration, above 1 after its end.

    Args:
        duration: Fraction of the run, or a number of iterations or epochs; see
            :class:`WeightSchedule`. One of 0 has elapsed.
        by_epoch: Count epochs where the duration is an int.
        progress: Position in the run.
        ahead: Steps to add to the position. Default 0.

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
