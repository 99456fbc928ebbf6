"""Diagnosis of a run from its recorded config and logs."""

import math
import re
from collections.abc import Iterator, Mapping

import numpy as np

from .findings import (
    DISTILL,
    MISSING_CLASSES,
    LossBalance,
    batch_size_finding,
    is_loss,
    teacher_finding,
)
from .run_directory import RunDirectory

_MISSING_CLASSES = re.compile(rf'\w+{re.escape(MISSING_CLASSES)}.*')
_TEACHER = re.compile(
    r'(?:Teacher|Mean of the teachers) on (\d{1,9}) of (\d{1,9}) images: '
)


def diagnose(run: RunDirectory) -> list[str]:
    """Return the warnings of a run's hooks, derived from its records.

    Raises:
        UserError: if the recorded config cannot be read.
    """
    findings = [
        _batch_size(run),
        _teacher(run),
        *_losses(run),
        *dict.fromkeys(found[0] for found in run.search_logs(_MISSING_CLASSES)),
    ]
    return [line for line in findings if line]


def _batch_size(run: RunDirectory) -> str | None:
    if run.processes is None:
        return None
    return batch_size_finding(run.config, run.processes)


def _teacher(run: RunDirectory) -> str | None:
    images = [0, 0]
    for found in run.search_logs(_TEACHER):
        images = [int(number) for number in found.groups()]
    return teacher_finding(run.teacher_metrics, run.last_metrics, images)


def _losses(run: RunDirectory) -> Iterator[str]:
    """Yield findings about the losses in the logged iterations."""
    configs = run.config.get('distill_losses') or {}
    log, balance = run.scalars, LossBalance()
    losses = {name: log.column(name) for name in log.names if is_loss(name)}
    weights = {
        name: log.column(DISTILL + name.replace('loss', 'weight'))
        for name in configs
        if f'{DISTILL}{name}' in losses
    }
    for row, iteration in enumerate(log.iterations):
        values = {name: column[row] for name, column in losses.items()}
        values = {name: value for name, value in values.items() if value == value}
        complete = [
            name
            for name, column in weights.items()
            if _is_complete(column[row], configs[name])
        ]
        yield from balance.update(int(iteration), values, complete)


def _is_complete(weight: float, config: object) -> bool:
    """Return True for the full weight of a loss.

    NaN means that no weight was logged because the loss has no schedule.
    """
    full = config.get('loss_weight', 1) if isinstance(config, Mapping) else 1
    return np.isnan(weight) or (
        isinstance(full, int | float) and math.isclose(weight, full, rel_tol=1e-5)
    )
