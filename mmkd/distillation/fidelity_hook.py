"""Has a validation look at both networks where a metric compares them."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmkd.distillation.distill_hook import distiller_of
from mmkd.evaluation import FidelityMetric
from mmkd.registry import HOOKS


@HOOKS.register_module()
class FidelityHook(Hook):
    """Lets the teacher predict, too, for a :class:`FidelityMetric`.

    Every Distiller brings one along. Without such a metric in the evaluator, or without
    a teacher, the student predicts alone.
    """

    def before_val(self, runner: Runner) -> None:
        """Looks at the metrics of the validation."""
        self._tell(runner, runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Looks at the metrics of a test after training."""
        self._tell(runner, runner.test_loop)

    def _tell(self, runner: Runner, loop: object) -> None:
        distiller = distiller_of(runner)
        distiller.compares = distiller.teacher is not None and any(
            isinstance(metric, FidelityMetric) for metric in loop.evaluator.metrics
        )
