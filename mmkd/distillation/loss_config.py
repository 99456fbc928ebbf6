"""Config of a distillation loss, without the arguments that are not the loss's own."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from mmkd.losses.schedule import WeightSchedule
from mmkd.registry import MODELS, qualified

from .auto_weight import AutoWeight

# Config keys of the arguments of an AutoWeight.
BALANCE_KEYS = dict(balance='balance', iterations='balance_iterations')


class LossConfig:
    """Loss, schedule and automatic weight built from the config of a loss.

    Args:
        name: Name of the loss in ``distill_losses``; must contain "loss".
        config: See :class:`TappedLoss`.

    Attributes:
        key: Config key of the loss.
        student: Tap of the student in the config; '' without one.
        teacher: Teachers and taps in the config; None without one.
        teacher_mean: Mean of the teachers in the config; None without one.
        named: Arguments of the loss in the config.
        loss: The loss.
        schedule: Its schedule; None without one.
        auto: Its automatic weight; None without one.

    Raises:
        UserError: for an invalid name, type or argument; the message names the config
            key.
    """

    def __init__(self, name: str, config: Mapping) -> None:
        self.key = f'distill_losses.{name}'
        check_dict(self.key, config, "type='KDLoss'")
        config = dict(config)
        if 'loss' not in name or '.' in name:
            raise UserError(
                f"{self.key}: the name must contain 'loss', as MMEngine trains nothing "
                f"else, and no dot; rename it to 'loss_{name.replace('.', '_')}'"
            )
        given = config.pop('student', None)
        self.student: str = '' if given is None else given
        self.teacher: Any = config.pop('teacher', None)
        self.teacher_mean: Any = config.pop('teacher_mean', None)
        if not isinstance(self.student, str):
            raise UserError(
                f'{self.key}.student: must be the name of a module, but is '
                f'{self.student!r}'
            )
        if not config.get('type'):
            raise UserError(f"{self.key}.type: missing; add it, such as type='KDLoss'")
        schedule = config.pop('schedule', None)
        if schedule is not None:
            check_dict(f'{self.key}.schedule', schedule, 'warmup=0.05')
        balance = {
            option: config.pop(name)
            for option, name in BALANCE_KEYS.items()
            if name in config
        }
        is_auto = config.get('loss_weight') == 'auto'
        if is_auto:
            config.pop('loss_weight')
        elif balance:
            raise UserError(
                f"{self.key}: balance is used only with loss_weight='auto'; set it, or "
                'remove balance'
            )
        self.named = set(config)
        settings = dict(config)
        if schedule is not None:
            settings['schedule'] = dict(schedule, type=WeightSchedule)
        try:
            with naming_keys(Config({'distill_losses': {name: settings}})):
                self.schedule = build_schedule(schedule)
                self.auto = AutoWeight(**balance) if is_auto else None
                self.loss = MODELS.build(qualified(config))
        except UserError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f'{self.key}: {error.args[0]}') from error
        if self.loss.needs_labels and self.loss.ignore_index is None:
            raise UserError(
                f'{self.key}.ignore_index: None also compares pixels without a label, '
                f'but {type(self.loss).__name__} needs labels with these settings; '
                'remove ignore_index, or use a loss that needs none'
            )


def check_dict(key: str, value: object, example: str) -> None:
    """Raise a UserError unless the value of a config key is a dict."""
    if not isinstance(value, Mapping):
        raise UserError(f'{key}: must be a dict such as dict({example}), not {value!r}')


def build_schedule(config: Mapping | None) -> WeightSchedule | None:
    """Build the schedule of a loss; return None without one."""
    return None if config is None else WeightSchedule(**config)
