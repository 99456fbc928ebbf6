"""Precision and memory layout of a training on a CPU."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict

from mmkd.engine.cpu_amp import CpuAmpOptimWrapper, bf16_is_emulated
from mmkd.engine.optim_wrappers import each_wrapper
from mmkd.engine.speed import Half, Speed, apply_layout, choose, measure, read_speed
from mmkd.errors import UserError
from mmkd.registry import HOOKS

if TYPE_CHECKING:
    from mmkd.engine.runner import Runner


@HOOKS.register_module()
class SpeedHook(Hook):
    """Train in the precision and memory layout of the config key ``speed``.

    With ``'auto'``, steps on the first batch are measured in float32, and in bf16 if
    the processor has instructions for it, with and without the NHWC layout. The fastest
    of them is used if it is clearly faster.
    The weights, statistics and random numbers of the run stay those of a run with this
    choice in its config. Checkpoints record the choice, and a resumed run keeps it. On
    a GPU the key has no effect.

    Args:
        speed: ``'auto'``, or a dict of the arguments of :class:`Speed`.

    Raises:
        UserError: for an invalid value.
    """

    def __init__(self, speed: Any) -> None:
        self.given = read_speed(speed)
        self.recorded: dict | None = None
        self.used: Speed | None = None
        self.done = False

    def after_load_checkpoint(self, runner: 'Runner', checkpoint: dict) -> None:
        """Read the choice of the run that is resumed."""
        if runner._resume:
            self.recorded = checkpoint['meta'].get('speed')

    def before_save_checkpoint(self, runner: 'Runner', checkpoint: dict) -> None:
        """Record the choice."""
        if self.used is not None:
            checkpoint['meta']['speed'] = asdict(self.used)

    def before_train_iter(
        self, runner: 'Runner', batch_idx: int, data_batch: Any = None
    ) -> None:
        """Choose before the first iteration.

        Raises:
            UserError: if the optimizer wrapper does not support the choice.
        """
        if self.done:
            return
        self.done = True
        if get_device() != 'cpu':
            runner.logger.info('speed: it has no effect on a GPU')
            return
        self.used, how = self._choose(runner, data_batch)
        apply_layout(runner.network, self.used)
        if self.used.amp:
            for wrapper in each_wrapper(runner.optim_wrapper):
                if not isinstance(wrapper, CpuAmpOptimWrapper):
                    raise UserError(
                        'speed.amp: it needs an OptimWrapper as optim_wrapper, not '
                        f'{type(wrapper).__name__}; change one of them'
                    )
                wrapper.enabled = True
        runner.logger.info(f'speed: {self.used}{how}')

    def _choose(self, runner: 'Runner', batch: Any) -> tuple[Speed, str]:
        """Return the choice, and the reason for the log."""
        if self.given is not None:
            return self.given, ''
        if self.recorded is not None:
            return Speed(**self.recorded), ', as before the resume'
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            raise UserError(
                "speed: 'auto' needs a training with one optimizer; set it to a dict "
                f'such as {Speed(channels_last=True)}, or remove it'
            )
        halves: tuple[Half, ...] = (None, 'bfloat16')
        if not isinstance(wrapper, CpuAmpOptimWrapper):
            halves = (None,)
        elif wrapper.enabled:
            halves = ('bfloat16',)
        elif bf16_is_emulated():
            halves = (None,)
        candidates = [Speed(amp, layout) for amp in halves for layout in (False, True)]
        times = measure(runner.network, batch, candidates)
        listed = ', '.join(f'{1000 * t:.0f} ms with {s}' for s, t in times.items())
        return choose(times), f', chosen by a step of the network: {listed}'
