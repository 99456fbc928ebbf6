"""Data preprocessor of a network, from what it expects of its images."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from mmkd.errors import UserError

WHITE = 255  # value of white in the images that datasets load


def preprocessor_config(
    config: Mapping | None,
    kind: str,
    swap: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channel_order: str | None = None,
    input_range: float | None = None,
) -> dict:
    """Add the normalization that a network expects to its preprocessor's config.

    Args:
        config: Config of the data preprocessor.
        kind: Its default type.
        swap: Its key that converts BGR images, as datasets load them, to RGB.
        mean: Subtracted from each channel, in units of ``input_range``. Default 0.
        std: Divides each channel, in units of ``input_range``. Default 1.
        channel_order: ``'rgb'``, the default, or ``'bgr'``.
        input_range: Value of white, before normalization: 1, the default, or 255.

    Returns:
        The config. Without any of the last four arguments, its normalization is kept.

    Raises:
        UserError: if the normalization is missing, invalid or contradictory.
    """
    found: dict[str, Any] = {'type': kind, **dict(config or {})}
    keys = ('mean', 'std', swap)
    given = dict(
        mean=mean, std=std, channel_order=channel_order, input_range=input_range
    )
    if all(value is None for value in given.values()):
        if found.get('mean') is None:
            raise UserError(
                'model.mean: the normalization of the images is missing; state what '
                'the network expects with mean, std, channel_order and input_range, or '
                'set mean and std of the data_preprocessor'
            )
        return found
    order = channel_order or 'rgb'
    white = 1 if input_range is None else input_range
    if order not in ('rgb', 'bgr'):
        raise UserError(
            f"model.channel_order: it must be 'rgb' or 'bgr', not {order!r}"
        )
    if white not in (1, WHITE):
        raise UserError(
            'model.input_range: it must be 1, for images from 0 to 1, or 255, not '
            f'{white!r}'
        )
    means, stds = _numbers('mean', mean, 0.0), _numbers('std', std, 1.0)
    if max(map(abs, means)) > white:
        raise UserError(
            f'model.mean: {means} is not within the images, which reach from 0 to '
            f'{white}; set input_range=255, or divide mean and std by 255'
        )
    if min(stds) <= 0:
        raise UserError(f'model.std: {stds} must be positive')
    if white == WHITE and (0 < max(map(abs, means)) <= 1 or min(stds) < 1):
        raise UserError(
            f'model.input_range: mean {means} and std {stds} are those of images from '
            '0 to 1; set input_range=1, or multiply mean and std by 255'
        )
    count = max(len(means), len(stds)) if mean or std else 3
    if {len(means), len(stds)} - {1, count}:
        raise UserError(
            f'model.std: {len(stds)} values, but {len(means)} in mean; give one of '
            'each for every channel'
        )
    scale = WHITE / white
    ours = {
        'mean': [scale * value for value in means * (count // len(means))],
        'std': [scale * value for value in stds * (count // len(stds))],
        swap: order == 'rgb',
    }
    for key in keys:
        if found.get(key) is not None and not _equal(found[key], ours[key]):
            raise UserError(
                f'model.data_preprocessor.{key}: {found[key]} contradicts '
                f'{ours[key]}, which follows from mean, std, channel_order and '
                'input_range of the model; remove it'
            )
    return {**found, **ours}


def _numbers(name: str, value: object, default: float) -> list[float]:
    """Return a number per channel, or one for all."""
    value = [default] if value is None else value
    if not isinstance(value, list | tuple) or not all(
        isinstance(number, Real) for number in value
    ):
        raise UserError(
            f'model.{name}: it must be a list of numbers, one for each channel, not '
            f'{value!r}'
        )
    return [float(number) for number in value]


def _equal(a: Any, b: Any) -> bool:
    """Compare numbers or lists of numbers up to rounding."""
    if not isinstance(b, list):
        return bool(a) == b
    return len(a) == len(b) and all(
        abs(x - y) <= 1e-3 * max(abs(y), 1) for x, y in zip(a, b, strict=True)
    )
