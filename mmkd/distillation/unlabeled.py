"""Distillation on images without labels."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError
from mmkd.functional.checks import check_weights
from mmkd.losses.schedule import Progress, WeightSchedule

from .loss_config import build_schedule, check_dict
from .run_to_logits import run_to_logits
from .stopwatch import LOSSES
from .tapped_loss import TappedLoss
from .taps import record
from .targets import inside_images

if TYPE_CHECKING:
    from .distiller import Distiller

KEY = 'unlabeled'
OPTIONS = ('weight', 'schedule', 'losses')


class Unlabeled:
    r"""Share of the images without labels in a distillation.

    Their losses are added to those of the labeled images,

    .. math:: L = L_{task} + \sum_k w_k(i) \left( L_k + u(i)\, L_k^U \right)

    with :math:`L_k` the k-th distillation loss on the labeled batch, :math:`L_k^U` the
    same loss on the unlabeled batch, :math:`w_k(i)` its weight at iteration i, and
    :math:`u(i)` the weight of the unlabeled images.

    Args:
        losses: The distillation losses.
        config: ``weight``, the weight u (default 1), ``schedule``, the arguments of a
            :class:`WeightSchedule` that multiplies it (default: a constant weight), and
            ``losses``, the names of the losses to use (default: all that need no
            labels).

    Attributes:
        batch: Unlabeled batch of the next iteration; None without one.

    Raises:
        UserError: for an invalid key or value, or without a loss that can be used.
    """

    def __init__(self, losses: Sequence[TappedLoss], config: Mapping) -> None:
        for name in config:
            if name not in OPTIONS:
                raise UserError(
                    f'{KEY}.{name}: unknown key; it may have {", ".join(OPTIONS)}'
                )
        self.weight = config.get('weight', 1.0)
        schedule = config.get('schedule')
        if schedule is not None:
            check_dict(f'{KEY}.schedule', schedule, 'warmup=0.05')
        settings = {} if schedule is None else dict(schedule, type=WeightSchedule)
        try:
            check_weights(weight=self.weight)
            with naming_keys(Config({KEY: dict(schedule=settings)})):
                self.schedule = build_schedule(schedule)
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            raise UserError(f'{KEY}.{error.args[0]}') from error
        self.losses = choose(losses, config.get('losses'))
        self.batch: Any = None
        self.checked = False  # True once a batch's tap outputs have been checked

    def factor(self, progress: Progress) -> float:
        """Return the current weight of the unlabeled images."""
        if self.schedule is None:
            return self.weight
        return self.weight * self.schedule.factor(progress)

    def check_run(self, progress: Progress) -> None:
        """Raise a UserError if the schedule is invalid for the length of the run."""
        try:
            if self.schedule is not None:
                self.schedule.check(progress)
        except ValueError as error:
            raise UserError(f'{KEY}.{error}') from error

    def compare(self, distiller: 'Distiller', maps: bool) -> dict[str, Tensor]:
        """Return the weighted losses of the unlabeled batch, which is used once.

        Both networks run on it as on a labeled batch, the student in train mode, but
        without its own losses.

        Args:
            distiller: Student, teacher and progress of the run.
            maps: True for segmentation, whose padding is not compared.
        """
        batch, self.batch = self.batch, None
        progress = distiller.progress
        share = self.factor(progress)
        active = [loss for loss in self.losses if share and loss.factor(progress)]
        values = {f'{KEY}.{loss.name}': torch.zeros(()) for loss in self.losses}
        if batch is None or not active:
            return values
        data = distiller.data_preprocessor(batch, True)
        inputs = data['inputs']
        theirs = distiller.teacher_outputs(inputs, active)
        taps = [loss.student_tap for loss in active]
        with record(distiller.student, taps) as ours:
            run_to_logits(distiller.student, inputs, taps)
        distiller.wait_for_teacher(theirs)
        distiller.recorded |= {
            f'{KEY}.{network}.{tap}': output.detach()
            for network, outputs in dict(student=ours, teacher=theirs).items()
            for tap, output in outputs.items()
        }
        inside = inside_images(inputs, data['data_samples']) if maps else None
        for loss in active:
            if loss.student_tap not in ours:
                raise UserError(
                    f"{loss.key}.student: '{loss.student_tap}' does not run on "
                    'unlabeled images, as auxiliary heads run only with labels; list '
                    f'the other losses in {KEY}.losses'
                )
            if not self.checked:
                loss.check_outputs(ours, theirs, inputs)
        self.checked = True
        watch = distiller.stopwatch
        with watch.measure(LOSSES):
            for loss in active:
                value = loss.value(ours, theirs, None, inside)
                values[f'{KEY}.{loss.name}'] = share * loss.multiplier(progress) * value
        watch.measure_backward(LOSSES, values.values(), ours.values())
        return values


def choose(
    losses: Sequence[TappedLoss], names: Sequence[str] | None
) -> list[TappedLoss]:
    """Return the losses of unlabeled images.

    Args:
        losses: All distillation losses.
        names: Names of those to use; None for all that need no labels.

    Raises:
        UserError: for an unknown name, a loss that needs labels, or no loss at all.
    """
    known = {loss.name: loss for loss in losses}
    need_labels = [loss.name for loss in losses if loss.needs_labels]
    if names is None:
        chosen = [loss for loss in losses if loss.name not in need_labels]
        if need_labels and chosen:
            print_log(
                f'{KEY}: {", ".join(need_labels)} not used on unlabeled images, as the '
                'loss needs labels',
                'current',
            )
    else:
        names = [names] if isinstance(names, str) else names
        for name in names:
            if name not in known:
                raise UserError(
                    f"{KEY}.losses: '{name}' is not in distill_losses; choose from "
                    f'{", ".join(known)}'
                )
            if name in need_labels:
                raise UserError(
                    f"{KEY}.losses: '{name}' needs labels; remove it, or use a loss "
                    'that needs none'
                )
        chosen = [known[name] for name in names]
        if not chosen:
            raise UserError(
                f'{KEY}.losses: it is empty; name a loss, or remove it to use all'
            )
    if not chosen:
        raise UserError(
            f'{KEY}: every loss of distill_losses needs labels '
            f'({", ".join(need_labels)}); add one that needs none, such as '
            "dict(type='KDLoss')"
        )
    return chosen
