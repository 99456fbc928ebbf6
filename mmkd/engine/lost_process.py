"""Which process is at fault where another loses its connection to it."""

import os
import re
import time
from pathlib import Path

from torch.distributed import DistError

# The exit status of a process that ends because of another: EX_UNAVAILABLE.
STATUS = 69
_LOST = re.compile(
    r'connection (reset|closed)|broken pipe|(read|write) error|remote process exited',
    re.IGNORECASE,
)
_WAITED = re.compile(r'timed out|timeout', re.IGNORECASE)


def explain(error: RuntimeError) -> str | None:
    """Return what to say of an error of a collective operation; None for any other.

    Processes of this machine that have ended, or are stopped, are named. As they may be
    about to end, this takes a second: the launcher then sees their own errors first.
    """
    text = str(error)
    if not isinstance(error, DistError) and 'gloo/transport' not in text:
        return None
    lost, waited = _LOST.search(text), _WAITED.search(text)
    if not lost and not waited:
        return None
    time.sleep(1)
    rank, states = os.environ.get('RANK', '0'), _states()
    ended = [other for other, state in states.items() if state in 'ZX']
    stopped = [other for other, state in states.items() if state in 'Tt']
    what = 'lost its connection to' if lost else 'has waited too long for'
    if ended:
        who = f'{_listed(ended)}, which ended first, with an error above or without any'
    elif stopped:
        who = f'{_listed(stopped)}, which is stopped'
    else:
        who = 'another process, on another machine perhaps, that hangs or has ended'
    how = '' if lost else ' (how long: env_cfg.dist_cfg.timeout, in seconds)'
    return f'process {rank} {what} {who}{how}; rerun with --resume'


def _states() -> dict[int, str]:
    """Return the states of the launcher's other processes here, as in ``/proc``.

    By rank; Z for a process that has ended. Empty where there is no ``/proc``.
    """
    rank, local, number = (
        int(os.environ.get(name, default))
        for name, default in (('RANK', 0), ('LOCAL_RANK', 0), ('LOCAL_WORLD_SIZE', 1))
    )
    lists = list(Path(f'/proc/{os.getppid()}/task').glob('*/children'))
    if not lists:
        return {}
    ranks = range(rank - local, rank - local + number)
    states = {other: 'Z' for other in ranks if other != rank}
    for child in ' '.join(path.read_text() for path in lists).split():
        try:
            variables = Path(f'/proc/{child}/environ').read_bytes().split(b'\0')
            state = Path(f'/proc/{child}/stat').read_text().rpartition(') ')[2][0]
        except OSError:  # it has ended
            continue
        for other in states:
            if f'RANK={other}'.encode() in variables:
                states[other] = state
    return states


def _listed(ranks: list[int]) -> str:
    return ', '.join(f'process {rank}' for rank in ranks)
