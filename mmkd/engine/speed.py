"""Precision and memory layout of a network that is trained on a CPU."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from mmengine.dist import broadcast_object_list
from mmengine.model import BaseModel

from mmkd.datasets.position_seeding import random_numbers_kept
from mmkd.engine.cpu_amp import CpuAmpOptimWrapper
from mmkd.errors import UserError

ROUNDS = 4  # steps of each candidate; the first is a warm-up
MARGIN = 0.9  # a candidate is chosen if it needs at most this share of the time
Half = Literal['bfloat16'] | None


@dataclass(frozen=True)
class Speed:
    """Precision and memory layout, given as the config key ``speed``.

    Args:
        amp: ``'bfloat16'`` for autocast of the forward pass in bf16. Default None: as
            the optimizer wrapper says.
        channels_last: Store the weights in the NHWC memory format, in which
            convolutions then run; exact up to rounding. Default False.

    Raises:
        UserError: for invalid values.
    """

    amp: Half = None
    channels_last: bool = False

    def __post_init__(self) -> None:
        if self.amp not in (None, 'bfloat16'):
            raise UserError(
                f"speed.amp: {self.amp!r} is invalid; set it to 'bfloat16', or to None"
            )
        if not isinstance(self.channels_last, bool):
            raise UserError(
                f'speed.channels_last: {self.channels_last!r} is neither True nor False'
            )

    def __str__(self) -> str:
        arguments = ', '.join(f'{key}={value!r}' for key, value in asdict(self).items())
        return f'dict({arguments})'


def read_speed(value: object) -> Speed | None:
    """Read the config key ``speed``.

    Args:
        value: ``'auto'``, or a dict of the arguments of :class:`Speed`.

    Returns:
        None for ``'auto'``.

    Raises:
        UserError: for any other value.
    """
    if value == 'auto':
        return None
    if not isinstance(value, Mapping):
        raise UserError(
            f"speed: {value!r} is invalid; set it to 'auto', to "
            f'{Speed("bfloat16", True)}, or remove it'
        )
    names = Speed.__dataclass_fields__
    if unknown := [name for name in value if name not in names]:
        raise UserError(f'speed.{unknown[0]}: unknown key; use {" or ".join(names)}')
    return Speed(**value)


def measure(
    network: BaseModel, batch: Any, candidates: Sequence[Speed]
) -> dict[Speed, float]:
    """Measure training steps of a network, without a trace in it.

    Copies of the network are trained, in turns, so that a change of the machine's load
    affects all candidates. The random numbers of the process are kept.

    Args:
        network: Network in the mode and state of its training.
        batch: Batch of the data loader.
        candidates: What to measure.

    Returns:
        The shortest step of each candidate in seconds. Candidates that a layer of the
        network does not support are left out, except the first.
    """
    times: dict[Speed, list[float]] = {}
    trained = {}
    for speed in candidates:
        copied = copy.deepcopy(network)
        apply_layout(copied, speed)
        optimizer = torch.optim.SGD(copied.parameters(), lr=0.0)
        enabled = speed.amp is not None
        trained[speed] = copied, CpuAmpOptimWrapper(optimizer, enabled=enabled)
    with random_numbers_kept():
        for _ in range(ROUNDS):
            for speed, (copied, wrapper) in list(trained.items()):
                data = copy.deepcopy(batch)  # preprocessing may change it
                start = time.perf_counter()
                try:
                    copied.train_step(data, wrapper)
                except RuntimeError:
                    if speed == candidates[0]:
                        raise
                    del trained[speed]
                times.setdefault(speed, []).append(time.perf_counter() - start)
    return {speed: min(times[speed][1:]) for speed in trained}


def choose(times: Mapping[Speed, float]) -> Speed:
    """Choose the fastest candidate by a clear margin.

    Each candidate must need at most 90 % of the time of those before it. In distributed
    training, the first process chooses for all.

    Args:
        times: Seconds of each candidate, the most exact one first.

    Example:
        >>> layout, half = Speed(channels_last=True), Speed('bfloat16')
        >>> choose({Speed(): 1.0, layout: 0.8, half: 0.75})
        Speed(amp=None, channels_last=True)
    """
    candidates = iter(times)
    chosen = next(candidates)
    for candidate in candidates:
        if times[candidate] <= MARGIN * times[chosen]:
            chosen = candidate
    agreed = [chosen]
    broadcast_object_list(agreed)
    return agreed[0]


def apply_layout(network: torch.nn.Module, speed: Speed) -> None:
    """Convert the weights to the NHWC memory format, if ``speed`` says so."""
    if speed.channels_last:
        network.to(memory_format=torch.channels_last)
