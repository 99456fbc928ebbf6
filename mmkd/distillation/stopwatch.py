"""Time of student, teacher and losses in a training step, without waiting for it."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

PARTS = STUDENT, TEACHER, LOSSES = 'student', 'teacher', 'losses'
Mark = float | torch.cuda.Event


@dataclass
class Span:
    """Part of a step; without ``end``, it is not complete."""

    part: str
    start: Mark
    end: Mark | None = None


@dataclass
class Step:
    """Training step with its measured parts."""

    device: torch.device
    whole: Span
    spans: list[Span] = field(default_factory=list)


class Stopwatch:
    """Seconds that a training step spends in student, teacher and losses.

    On a GPU, the parts are bounded by CUDA events, which are read once they have
    passed, usually in a later iteration, so that the process never waits for the GPU.
    On other devices they are bounded by the clock of the process.

    Teacher and losses are measured; the rest of the step is the student's. Nothing is
    measured unless :meth:`start` has been called. A copy has not been started.

    Example:
        >>> watch = Stopwatch()
        >>> watch.start(torch.device('cpu'))
        >>> with watch.measure('teacher'):
        ...     _ = torch.ones(1) + 1
        >>> watch.stop()
        >>> (seconds,) = watch.read()
        >>> sorted(seconds)
        ['losses', 'student', 'teacher']
    """

    def __init__(self) -> None:
        self._step: Step | None = None
        self._complete: deque[Step] = deque()

    def start(self, device: torch.device) -> None:
        """Start a step on a device; a step without :meth:`stop` is forgotten."""
        self._step = Step(device, Span(STUDENT, _mark(device)))

    def stop(self) -> None:
        """Complete the step."""
        step, self._step = self._step, None
        if step is not None:
            step.whole.end = _mark(step.device)
            self._complete.append(step)

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Measure a part of the step; parts must not be nested."""
        step = self._step
        if step is None:
            yield
            return
        span = Span(part, _mark(step.device))
        yield
        span.end = _mark(step.device)
        step.spans.append(span)

    def measure_backward(
        self, part: str, values: Iterable[Tensor], until: Iterable[Tensor]
    ) -> None:
        """Measure a part of the backward pass.

        PyTorch runs the backward pass in the reverse order of the forward pass. So the
        part begins where the first gradient of ``values`` arrives, and ends where the
        first gradient of ``until`` does, which were computed before ``values``.

        Args:
            part: Name of the part.
            values: Tensors at which it begins, such as losses.
            until: Tensors at which it ends.
        """
        step = self._step
        if step is None:
            return
        spans: list[Span] = []

        def begin(_: Tensor) -> None:
            if not spans:
                spans.append(Span(part, _mark(step.device)))
                step.spans.append(spans[0])

        def end(_: Tensor) -> None:
            if spans and spans[0].end is None:
                spans[0].end = _mark(step.device)

        for tensors, hook in ((values, begin), (until, end)):
            for tensor in tensors:
                if tensor.requires_grad:
                    tensor.register_hook(hook)

    def read(self) -> Iterator[dict[str, float]]:
        """Yield the seconds by part of each step that has passed, the oldest first."""
        while self._complete and _passed(self._complete[0].whole.end):
            step = self._complete.popleft()
            seconds = dict.fromkeys(PARTS, 0.0)
            seconds[STUDENT] = _seconds(step.whole)
            for span in step.spans:
                spent = _seconds(span)
                seconds[span.part] += spent
                seconds[STUDENT] -= spent
            yield seconds

    def __deepcopy__(self, memo: dict) -> 'Stopwatch':
        return Stopwatch()


def _mark(device: torch.device) -> Mark:
    """Return a mark of the present moment in the work of a device."""
    if device.type != 'cuda':
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def _passed(mark: Mark | None) -> bool:
    return not isinstance(mark, torch.cuda.Event) or mark.query()


def _seconds(span: Span) -> float:
    """Return the duration of a span; 0 if it is not complete."""
    if isinstance(span.start, torch.cuda.Event):
        if not isinstance(span.end, torch.cuda.Event):
            return 0.0
        return span.start.elapsed_time(span.end) / 1000
    return span.end - span.start if isinstance(span.end, float) else 0.0
