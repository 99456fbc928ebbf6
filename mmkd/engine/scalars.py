"""What a training has logged, as MMEngine writes it."""

import json
from collections.abc import Iterator
from pathlib import Path

LOGS = '*/vis_data/scalars.json'  # one for each attempt


def records(log: Path) -> Iterator[dict]:
    """The lines of a log of scalars, but for one that a kill has torn."""
    for line in log.read_text(errors='replace').splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def is_training(record: dict) -> bool:
    """Whether a record is of training; a validation's has no iteration."""
    return 'iter' in record


def metrics(record: dict) -> dict[str, float]:
    """What a validation's record holds but for its time."""
    return {k: v for k, v in record.items() if k not in ('step', 'time', 'data_time')}


def validations(work_dir: Path) -> dict[int, dict[str, float]]:
    """The metrics of a run's validations, by iteration, or epoch where it counts those.

    Of several attempts the last one counts.
    """
    found = {}
    for log in sorted(work_dir.glob(LOGS)):
        for record in records(log):
            if not is_training(record) and 'step' in record:
                found[record['step']] = metrics(record)
    return dict(sorted(found.items()))
