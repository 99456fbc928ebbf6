"""Several trainings, one after the other or side by side, watched on the screen."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .runs import Run, State

POLL = 0.5  # seconds


@dataclass
class Job:
    """A run in the queue and what has become of it."""

    run: Run
    state: State
    status: str = 'waiting'
    process: subprocess.Popen | None = None
    slot: int | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do for it, or to be done about it."""
        return self.status in ('finished', 'failed')


class RunQueue:
    """Brings runs to their end and shows a table of them meanwhile.

    Finished ones are left alone, unfinished ones go on from their last checkpoint, one
    that another process trains is waited for, a distillation waits for its teacher if
    that is trained here, and one that fails does not keep the others from running.

    Args:
        runs: In the order in which to start them.
        jobs: How many at once; they share the CPU cores or the GPUs evenly.
        console: Where to show the table. Default: standard output.

    Raises:
        UserError: if a folder holds a run with other settings.
    """

    def __init__(
        self, runs: Sequence[Run], jobs: int = 1, console: Console | None = None
    ) -> None:
        self.console, self.slots = console or Console(), shares(jobs)
        for run in runs:
            run.check_settings()
        self.queue = [Job(run, run.state()) for run in runs]

    def execute(self) -> list[Run]:
        """Runs what is to be run; returns those that failed.

        On SIGTERM or Ctrl-C the trainings save a checkpoint and end, then this raises
        SystemExit; a second Ctrl-C kills them.
        """
        with (
            self._ends_with_this(),
            Live(console=self.console, auto_refresh=False) as live,
        ):
            while not all(job.over for job in self.queue):
                self._step()
                live.update(self.table(), refresh=True)
                time.sleep(POLL)
        if not self.console.is_terminal:
            self.console.line()  # rich ends the last line on terminals only
        return [job.run for job in self.queue if job.status == 'failed']

    def _step(self) -> None:
        """Looks after what runs, and starts what can be started."""
        for job in self.queue:
            if job.over:
                continue
            working = job.process and job.process.poll() is None
            if job.status != 'waiting':
                job.state = job.run.state()
            if working:
                continue
            if job.state.finished:
                self._set(job, 'finished')
            elif job.process:
                reason, code = job.run.last_words(), job.process.returncode
                if code == 0:
                    reason = 'it ended without a validation at its last iteration'
                elif code < 0:  # it had no time for last words
                    reason = f'it was ended by {signal.Signals(-code).name}'
                    reason += ' (out of memory?)' if code == -signal.SIGKILL else ''
                log = job.run.work_dir / 'output.log'
                self._set(job, 'failed', f': {reason} (see {log})')
            else:
                self._start(job)

    def _start(self, job: Job) -> None:
        """Starts a run if a slot is free, its teacher ready and nobody trains it."""
        taken = {other.slot for other in self.queue if other.status == 'running'}
        free = [slot for slot in range(len(self.slots)) if slot not in taken]
        if not free or self._lacks_teacher(job):
            return
        job.slot = free[0]
        job.process = job.run.start(self.slots[job.slot])
        if job.process:
            self._set(job, 'running')
        else:
            job.state = job.run.state()
            self._set(job, 'finished' if job.state.finished else 'elsewhere')

    def _lacks_teacher(self, job: Job) -> bool:
        """Whether another run here has yet to train the teacher of this one."""
        if job.run.teacher is None:
            return False
        folder = job.run.teacher.resolve().parent
        others = (other for other in self.queue if other is not job and not other.over)
        return any(other.run.work_dir.resolve() == folder for other in others)

    def _set(self, job: Job, status: str, reason: str = '') -> None:
        """Changes a status; says so where the table is not live, or it is bad news."""
        changed, job.status = job.status != status, status
        if changed and (reason or not self.console.is_terminal):
            self._say(f'{job.run.name}: {status}{reason}')

    def _say(self, text: str) -> None:
        """Prints a line as it is: an error may have brackets, a path be long."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def _ends_with_this(self) -> Iterator[None]:
        """Has SIGTERM and Ctrl-C end it all, the trainings saved."""

        def leave(number: int, frame: object) -> None:
            raise SystemExit(128 + number)

        numbers = signal.SIGTERM, signal.SIGINT
        previous = {number: signal.signal(number, leave) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            running = [job.process for job in self.queue if job.status == 'running']
            if running:
                self._say('Stopping: the trainings save a checkpoint and end.')
            for process in running:
                process.terminate()
            try:
                for process in running:
                    process.wait()
            except KeyboardInterrupt:
                for process in running:
                    process.kill()
                    process.wait()

    def table(self) -> Table:
        """What the screen shows."""
        table = Table(box=None)
        widest = max(len(job.run.name) for job in self.queue)
        table.add_column('run', overflow='fold', min_width=min(20, widest))
        table.add_column('status', no_wrap=True)
        table.add_column('progress', max_width=20)
        for column in ('', 'result', 'time', 'left'):
            table.add_column(column, justify='right', no_wrap=True)
        for job in self.queue:
            state, result = job.state, job.state.result()
            table.add_row(
                job.run.name,
                job.status,
                ProgressBar(state.total, state.done),
                f'{state.done}/{state.total}',
                '{} {:.2f}'.format(*result) if result else '',
                clock(state.seconds) if state.seconds else '',
                '' if job.over else clock(self._left(job)),
            )
        if len(self.queue) > 1:
            left = [self._left(job) for job in self.queue if not job.over]
            known = None not in left and left
            total = sum(left) / min(len(left), len(self.slots)) if known else None
            done = sum(job.status == 'finished' for job in self.queue)
            title = f'{done} of {len(self.queue)} runs finished'
            table.title = title + (f', {clock(total)} left' if left else '')
        return table

    def _left(self, job: Job) -> float | None:
        """Seconds that a run will take, judged by its own pace or its likes'."""
        alike = [o.state for o in self.queue if o.run.config == job.run.config]
        for states in ([job.state], alike, [o.state for o in self.queue]):
            paces = [state.pace for state in states if state.pace]
            if paces:
                pace = sum(paces) / len(paces)
                return pace * (job.state.total - job.state.done)
        return None


def clock(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds is None:
        return '?'
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{seconds:02}'


def shares(jobs: int) -> list[dict[str, str]]:
    """What each of several jobs at once may use, as environment variables.

    A GPU each in turn, or its part of the CPU cores unless OMP_NUM_THREADS is set.
    """
    if jobs == 1:
        return [{}]
    if torch.cuda.is_available():
        devices = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')
        if devices == ['']:
            devices = [str(number) for number in range(torch.cuda.device_count())]
        return [
            {'CUDA_VISIBLE_DEVICES': devices[slot % len(devices)]}
            for slot in range(jobs)
        ]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return [{'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', str(threads))}] * jobs
