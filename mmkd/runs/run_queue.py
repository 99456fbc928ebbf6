"""Queue of trainings that run one or several at a time, with a table of progress."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from statistics import mean

import torch
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .findings import METRICS
from .run_directory import RunDirectory
from .training import Training


@dataclass
class Job:
    """Training in the queue with its status."""

    training: Training
    directory: RunDirectory
    status: str = 'waiting'
    process: subprocess.Popen | None = None
    slot: int | None = None

    @property
    def over(self) -> bool:
        """True if nothing is left to do."""
        return self.status in ('finished', 'failed')


class RunQueue:
    """Queue that runs trainings to completion and shows a table of their progress.

    Finished trainings are skipped, and unfinished ones resume from their last
    checkpoint. The queue waits for a training that another process runs. A distillation
    waits for its teacher if the queue contains the teacher's training. A failed
    training does not stop the others. Without a terminal, lines of progress are printed
    periodically.

    Args:
        trainings: Trainings in the order in which to start them.
        jobs: Number of simultaneous trainings, which share the CPU cores or the GPUs
            evenly. Default 1.
        console: Console that shows the table. Default: standard output.
        poll: Seconds between two checks of the trainings. Default 0.5.
        report: Seconds between two lines of progress without a terminal. Default 30.

    Raises:
        UserError: if a folder contains a run with other settings.
    """

    def __init__(
        self,
        trainings: Sequence[Training],
        jobs: int = 1,
        console: Console | None = None,
        poll: float = 0.5,
        report: float = 30.0,
    ) -> None:
        self.poll, self.report = poll, report
        self.console, self.slots = console or Console(), slot_environments(jobs)
        for training in trainings:
            training.check_settings()
        self.queue = [Job(training, training.directory) for training in trainings]

    def execute(self) -> list[Training]:
        """Run the unfinished trainings and return those that failed.

        On SIGTERM or Ctrl-C the trainings save a checkpoint and end, and then
        SystemExit is raised; a second Ctrl-C kills them.
        """
        with (
            self._trainings_stopped_on_exit(),
            Live(console=self.console, auto_refresh=False) as live,
        ):
            terminal, reported = self.console.is_terminal, time.monotonic()
            while not all(job.over for job in self.queue):
                self._step()
                if not terminal and time.monotonic() > reported + self.report:
                    self._report()
                    reported = time.monotonic()
                live.update(self.table(), refresh=True)
                time.sleep(self.poll)
        if not terminal:
            self.console.line()  # rich ends the last line only on terminals
        return [job.training for job in self.queue if job.status == 'failed']

    def _step(self) -> None:
        """Update the status of all jobs, and start those that can start."""
        for job in self.queue:
            if job.over:
                continue
            working = job.process and job.process.poll() is None
            if job.status != 'waiting':
                job.directory = job.training.directory
            if working:
                continue
            if job.directory.finished:
                self._set(job, 'finished')
            elif job.process and job.training.in_use:  # another process was faster
                job.process = None
                self._set(job, 'elsewhere')
            elif job.process:
                reason, code = job.training.failure_reason(), job.process.returncode
                if code == 0:
                    reason = 'it ended without a validation at its last iteration'
                elif code < 0:  # a killed process prints no reason
                    reason = f'it was ended by {signal.Signals(-code).name}'
                    reason += ' (out of memory?)' if code == -signal.SIGKILL else ''
                log = job.training.work_dir / 'output.log'
                self._set(job, 'failed', f': {reason} (see {log})')
            else:
                self._start(job)

    def _start(self, job: Job) -> None:
        """Start a job if a slot is free, its teacher is ready and it is not running."""
        taken = {other.slot for other in self.queue if other.status == 'running'}
        free = [slot for slot in range(len(self.slots)) if slot not in taken]
        if not free or self._lacks_teacher(job):
            return
        job.slot = free[0]
        job.process = job.training.start(self.slots[job.slot])
        if job.process:
            self._set(job, 'running')
        else:
            job.directory = job.training.directory
            self._set(job, 'finished' if job.directory.finished else 'elsewhere')

    def _lacks_teacher(self, job: Job) -> bool:
        """Return True if a teacher of a job is still to be trained by another job."""
        folders = {path.resolve().parent for path in job.training.teachers}
        others = (other for other in self.queue if other is not job and not other.over)
        return any(other.training.work_dir.resolve() in folders for other in others)

    def _set(self, job: Job, status: str, reason: str = '') -> None:
        """Set the status; print it on failure, or if the table is not live."""
        changed, job.status = job.status != status, status
        if changed and (reason or not self.console.is_terminal):
            self._print(f'{job.training.name}: {status}{reason}')

    def _report(self) -> None:
        """Print the progress of the trainings."""
        for job in self.queue:
            if job.status in ('running', 'elsewhere'):
                left = clock(self._seconds_left(job))
                done = f'{job.directory.done}/{job.directory.total}'
                self._print(f'{job.training.name}: {done}, {left} left')

    def _print(self, text: str) -> None:
        """Print a line without markup, highlighting or wrapping."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def _trainings_stopped_on_exit(self) -> Iterator[None]:
        """Let the trainings save a checkpoint and end on SIGTERM and Ctrl-C."""

        def leave(number: int, frame: object) -> None:
            raise SystemExit(128 + number)

        numbers = signal.SIGTERM, signal.SIGINT
        previous = {number: signal.signal(number, leave) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            running = [
                job.process
                for job in self.queue
                if job.process and job.status == 'running'
            ]
            if running:
                self._print('Stopping: the trainings save a checkpoint and end.')
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
        """Return the table of progress."""
        table = Table(box=None)
        widest = max(len(job.training.name) for job in self.queue)
        table.add_column('run', overflow='fold', min_width=min(20, widest))
        table.add_column('status', no_wrap=True)
        table.add_column('progress', max_width=20)
        for column in ('', 'result', 'time', 'left'):
            table.add_column(column, justify='right', no_wrap=True)
        for job in self.queue:
            run, metrics = job.directory, job.directory.last_metrics
            results = [f'{m} {metrics[m]:.2f}' for m in METRICS if m in metrics]
            table.add_row(
                job.training.name,
                job.status,
                ProgressBar(run.total, run.done),
                f'{run.done}/{run.total}',
                ', '.join(results),
                clock(run.seconds) if run.seconds else '',
                '' if job.over else clock(self._seconds_left(job)),
            )
        if len(self.queue) > 1:
            left = [self._seconds_left(job) for job in self.queue if not job.over]
            known = [seconds for seconds in left if seconds is not None]
            total = None
            if left and len(known) == len(left):
                total = sum(known) / min(len(known), len(self.slots))
            done = sum(job.status == 'finished' for job in self.queue)
            title = f'{done} of {len(self.queue)} runs finished'
            table.title = title + (f', {clock(total)} left' if left else '')
        return table

    def _seconds_left(self, job: Job) -> float | None:
        """Estimate from the pace of this job, of jobs with its config, or of all."""
        config = job.training.config
        alike = [other for other in self.queue if other.training.config == config]
        for jobs in ([job], alike, self.queue):
            runs = [each.directory for each in jobs if each.directory.done]
            if runs:
                pace = mean(run.seconds / run.done for run in runs)
                return pace * (job.directory.total - job.directory.done)
        return None


def clock(seconds: float | None) -> str:
    """Format seconds as hours, minutes and seconds."""
    return '?' if seconds is None else str(timedelta(seconds=round(seconds)))


def slot_environments(jobs: int) -> list[dict[str, str]]:
    """Return environment variables that divide the machine among jobs.

    The GPUs are assigned in turn. Without a GPU each job gets an equal share of the CPU
    cores, unless OMP_NUM_THREADS is set.
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
