"""Explanation of a lost connection between processes, naming the faulty process."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from torch.distributed import DistError

# Exit status of a process that ends because another process has failed: EX_UNAVAILABLE.
STATUS = 69
_LOST = re.compile(
    r'connection (reset|closed)|broken pipe|(read|write) error|remote process exited',
    re.IGNORECASE,
)
_WAITED = re.compile(r'timed out|timeout', re.IGNORECASE)


def explain(
    error: RuntimeError, states_of: Callable[[], dict[int, str]] | None = None
) -> str | None:
    """Explain the error of a collective operation; return None for any other error.

    Names processes of this machine that have ended or are stopped. Waits a second
    first: processes that are about to end can do so, and the launcher sees their own
    errors first.

    Args:
        error: Error of a collective operation, or any other.
        states_of: Function that returns the states of the other processes. Default:
            :func:`process_states`.
    """
    text = str(error)
    if not isinstance(error, DistError) and 'gloo/transport' not in text:
        return None
    lost, waited = _LOST.search(text), _WAITED.search(text)
    if not lost and not waited:
        return None
    time.sleep(1)
    rank, states = os.environ.get('RANK', '0'), (states_of or process_states)()
    ended = [other for other, state in states.items() if state in 'ZX']
    stopped = [other for other, state in states.items() if state in 'Tt']
    what = 'lost its connection to' if lost else 'has waited too long for'
    if ended:
        who = f'{_listed(ended)}, which ended first; see above for its error, if any'
    elif stopped:
        who = f'{_listed(stopped)}, which is stopped'
    else:
        who = 'another process, maybe on another machine, which hangs or has ended'
    how = '' if lost else ' (the limit is env_cfg.dist_cfg.timeout, in seconds)'
    return f'process {rank} {what} {who}{how}; rerun with --resume'


def process_states() -> dict[int, str]:
    """Return the states of the launcher's other local processes, by rank.

    States are letters as in ``/proc``; Z for a process that has ended. Empty on systems
    without ``/proc``.
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
        except OSError:  # the process has ended
            continue
        for other in states:
            if f'RANK={other}'.encode() in variables:
                states[other] = state
    return states


def _listed(ranks: list[int]) -> str:
    return ', '.join(f'process {rank}' for rank in ranks)
