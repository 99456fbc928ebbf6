"""The weight of a distillation loss over the run."""

from dataclasses import dataclass

from mmengine.logging import MessageHub


@dataclass(frozen=True)
class WeightSchedule:
    """A linear warm-up of a loss's weight, and an end.

    A pure function of the position in the run: resuming needs no state.

    Args:
        warmup: Steps until the weight is whole; step i (from 0) has (i + 1) / warmup of
            it. Default 0.
        stop: Step from which the weight is 0. Default: never.
        by_epoch: Count epochs instead of iterations. Default False.

    Raises:
        ValueError: for a negative ``warmup`` or a ``stop`` below 1.

    Example:
        >>> [WeightSchedule(warmup=4, stop=6).factor(step) for step in (0, 1, 3, 5, 6)]
        [0.25, 0.5, 1.0, 1.0, 0.0]
    """

    warmup: int = 0
    stop: int | None = None
    by_epoch: bool = False

    def __post_init__(self) -> None:
        if self.warmup < 0:
            raise ValueError(f'schedule.warmup must be >= 0, but is {self.warmup}')
        if self.stop is not None and self.stop < 1:
            raise ValueError(f'schedule.stop must be >= 1, but is {self.stop}')

    def factor(self, step: int) -> float:
        """The share of the weight at a step, 0 to 1."""
        if self.stop is not None and step >= self.stop:
            return 0.0
        return min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0

    def current(self) -> float:
        """The share of the weight where the running Runner now is."""
        return self.factor(position(self.by_epoch))


def position(by_epoch: bool) -> int:
    """The iteration or epoch, from 0, where the running Runner now is; else 0."""
    hub = MessageHub.get_current_instance()
    return int(hub.get_info('epoch' if by_epoch else 'iter', 0))


# The gradient of a standardised loss goes with 1/std of the student's logits, which
# starts near 0.01: at full weight it would wreck the first iterations.
STANDARDIZED_DEFAULT = WeightSchedule(warmup=1000)
