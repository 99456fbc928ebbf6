"""Protection against NaN and infinite gradients."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.utils import get_total_norm

from mmkd.engine.optim_wrappers import each_wrapper
from mmkd.errors import UserError
from mmkd.registry import HOOKS

PATIENCE = 20


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop a run, or skip the step, if the gradient is not finite.

    The optimizer never uses such a gradient in any process, since distributed training
    averages the gradients: a NaN in one process reaches all of them. A loss that is not
    finite also stops the run. To help find the cause, the batch, the names of its
    images, the losses, the weights and, if the model has a dict ``recorded``, the
    tensors in it are saved in the work_dir as ``nonfinite_iter_<n>_rank_<r>.pth``, at
    most three times. The cost is one gradient norm and, on a GPU, a synchronization
    before each step.

    Args:
        action: ``'stop'``, or ``'skip'``, which continues with the next batch and
            restores the statistics of batch normalization; an exponential moving
            average of the weights still includes the step. The run stops after 20
            skipped steps in a row. Default ``'stop'``.

    Example:
        >>> custom_hooks = [dict(type='mmkd.FiniteHook', action='skip')]
    """

    priority = 'VERY_HIGH'  # before anything is saved

    def __init__(self, action: str = 'stop') -> None:
        if action not in ('stop', 'skip'):
            raise UserError(
                f"FiniteHook.action: '{action}' is invalid; use 'stop' or 'skip'"
            )
        self.action = action
        self.in_a_row = 0
        self.written = 0
        self.due = self.left_out = False
        self.buffers: list[torch.Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Register a check of the gradient before each optimizer step."""
        for wrapper in each_wrapper(runner.optim_wrapper):
            wrapper.optimizer.register_step_pre_hook(self._check)

    def _check(self, optimizer: torch.optim.Optimizer, *args: object) -> None:
        """Discard the gradient if it is not finite, so that no weight changes."""
        if getattr(optimizer, 'found_inf', None) is not None:
            return  # a fused optimizer: a GradScaler decides which steps to skip
        self.due = True
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        if not torch.isfinite(get_total_norm(gradients, torch.inf)):
            self.left_out = True
            optimizer.zero_grad(set_to_none=True)

    def before_train_iter(
        self, runner: Runner, *args: object, **kwargs: object
    ) -> None:
        """Copy the statistics of batch normalization, which a forward pass changes."""
        if self.action == 'skip':
            self.buffers = [buffer.clone() for buffer in runner.model.buffers()]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Report values that are not finite; stop, or continue without the step."""
        outputs = outputs or {}
        # With a GradScaler the optimizer never receives such a gradient.
        if not self.left_out and finite(outputs.get('loss')):
            if self.due:
                self.in_a_row, self.due = 0, False
            return
        self.in_a_row += 1
        model = getattr(runner.model, 'module', runner.model)
        recorded = getattr(model, 'recorded', {})
        what = f'iteration {runner.iter + 1}: {describe(outputs, recorded)}'
        cause, fix = explain(model, data_batch)
        what += cause
        if self.written < 3:
            self.written += 1
            name = f'nonfinite_iter_{runner.iter + 1}_rank_{get_rank()}.pth'
            path = Path(runner.work_dir, name)
            with suppress(OSError, RuntimeError):  # for example on a full disk
                torch.save(evidence(model, data_batch, outputs), path)
                what += f'; see {path}'
        if self.action == 'stop' or self.in_a_row >= PATIENCE:
            step = 'the step was not taken. ' if self.left_out else ''
            raise UserError(f'{what}; {step}{fix}')
        runner.logger.warning(f'{what}; the step is skipped')
        for buffer, before in zip(runner.model.buffers(), self.buffers, strict=True):
            buffer.copy_(before)
        self.due = self.left_out = False


def finite(value: object) -> bool:
    """Return True if a number or tensor is finite; True for any other type."""
    value = torch.as_tensor(value) if isinstance(value, float) else value
    return not isinstance(value, torch.Tensor) or bool(torch.isfinite(value).all())


def describe(outputs: Mapping, recorded: Mapping[str, torch.Tensor]) -> str:
    """Name the losses and recorded tensors that are not finite."""
    bad = [name for name, value in outputs.items() if not finite(value)]
    parts = [f'{name} is {float(outputs[name]):.3g}' for name in bad if name != 'loss']
    if not bad:
        parts.append('the losses are finite, but the gradient is not')
    elif bad == ['loss']:
        parts.append('the sum of the losses is not finite')
    for name, tensor in recorded.items():
        if number := int((~tensor.isfinite()).sum()):
            parts.append(f'{name} has {number} values that are not finite')
    return ', '.join(parts)


def explain(model: torch.nn.Module, batch: dict | None) -> tuple[str, str]:
    """Return the cause, '' if it is unknown, and the fix."""
    skip = (
        'skip such steps with '
        "custom_hooks=[dict(type='mmkd.FiniteHook', action='skip')]"
    )
    images = batch.get('inputs') if isinstance(batch, dict) else None
    if not all(finite(image) for image in (images if images is not None else ())):
        return ', the images have values that are not finite', (
            f'Correct the images or the pipeline, or {skip}'
        )
    weights = [name for name, value in model.named_parameters() if not finite(value)]
    if weights:
        return f', {len(weights)} weights are not finite, first {weights[0]}', (
            'Start from other weights'
        )
    return '', (
        f'Lower the learning rate or the loss weight, use a longer warm-up, or {skip}'
    )


def evidence(
    model: torch.nn.Module, batch: dict | None, outputs: Mapping | None
) -> dict:
    """Collect data to help find the cause, as plain tensors and strings."""
    batch = batch if isinstance(batch, dict) else {}
    samples = batch.get('data_samples') or []
    return dict(
        inputs=batch.get('inputs'),
        images=[str(getattr(sample, 'img_path', '')) for sample in samples],
        losses={
            name: value.detach().cpu() if isinstance(value, torch.Tensor) else value
            for name, value in (outputs or {}).items()
        },
        recorded={
            name: tensor.cpu()
            for name, tensor in getattr(model, 'recorded', {}).items()
        },
        state_dict=model.state_dict(),
    )
