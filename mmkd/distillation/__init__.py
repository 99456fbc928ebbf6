"""Distillation: teacher, Distiller, its Runner and hooks, registered by name."""

from .distill_hook import DistillHook
from .distill_runner import DistillRunner
from .distiller import Distiller
from .loss_balance_hook import LossBalanceHook
from .step_time_hook import StepTimeHook
from .teacher import Teacher
from .teacher_metric_hook import TeacherMetricHook
from .unlabeled_hook import UnlabeledHook

__all__ = [
    'DistillHook',
    'DistillRunner',
    'Distiller',
    'LossBalanceHook',
    'StepTimeHook',
    'Teacher',
    'TeacherMetricHook',
    'UnlabeledHook',
]
