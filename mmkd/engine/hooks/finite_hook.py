"""No step is ever taken on numbers that are not finite."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.utils import clip_grad_norm_

from mmkd.errors import UserError
from mmkd.registry import HOOKS

PATIENCE = 20


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stops a run whose loss or gradient is NaN or infinite, or leaves out the step.

    A Distiller brings one that stops. The weights are never touched by such a gradient:
    the optimiser is given none, on all processes alike, since DDP has made the gradient
    one. What is needed to look at it is written to the work_dir, as
    ``nonfinite_iter_<n>_rank_<r>.pth``: the batch, the names of its images, the losses,
    both networks' logits and the student's weights. It costs one norm of the gradient.

    Args:
        action: ``'stop'``, or ``'skip'``, which goes on with the next batch; BN's
            statistics are then put back as well. After 20 steps in a row that were left
            out, it stops nonetheless.

    Example:
        >>> custom_hooks = [dict(type='mmkd.FiniteHook', action='skip')]
    """

    priority = 'VERY_HIGH'  # before anything is saved

    def __init__(self, action: str = 'stop') -> None:
        if action not in ('stop', 'skip'):
            raise UserError(f"FiniteHook.action: '{action}' is neither stop nor skip")
        self.action = action
        self.in_a_row = 0
        self.left_out = False
        self.buffers: list[torch.Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Looks at each gradient before the optimiser does."""
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if isinstance(wrapper, Mapping) else [wrapper]
        for each in wrappers:
            each.optimizer.register_step_pre_hook(self._check)

    def _check(self, optimizer: torch.optim.Optimizer, *args: object) -> None:
        """Takes the gradient away if it is not finite: no weight then moves."""
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        if not torch.isfinite(clip_grad_norm_(parameters, math.inf)):
            self.left_out = True
            optimizer.zero_grad(set_to_none=True)

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Keeps BN's statistics, which the forward pass moves."""
        if self.action == 'skip':
            self.buffers = [buffer.clone() for buffer in runner.model.buffers()]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Says what is not finite; stops, or goes on without the step."""
        bad = [name for name, value in (outputs or {}).items() if not finite(value)]
        if not bad and not self.left_out:
            self.in_a_row = 0
            return
        model = getattr(runner.model, 'module', runner.model)
        iteration = runner.iter + 1
        name = f'nonfinite_iter_{iteration}_rank_{get_rank()}.pth'
        what = describe(bad, outputs or {}, getattr(model, 'recorded', {}))
        what = f'iteration {iteration}: {what}'
        self.in_a_row += 1
        stops = self.action == 'stop' or self.in_a_row >= PATIENCE
        if stops or self.in_a_row == 1:
            path = Path(runner.work_dir, name)
            torch.save(evidence(model, data_batch, outputs), path)
            what += f'; see {path}'
        if stops:
            raise UserError(
                f'{what}; the step was not taken. Lower the learning rate or the '
                "loss's weight, warm it up longer, or leave out such steps with "
                "custom_hooks=[dict(type='mmkd.FiniteHook', action='skip')]"
            )
        runner.logger.warning(f'{what}; the step was left out')
        for buffer, before in zip(runner.model.buffers(), self.buffers, strict=True):
            buffer.copy_(before)
        self.left_out = False


def finite(value: object) -> bool:
    """Whether all of it is; what is no number is."""
    value = torch.as_tensor(value) if isinstance(value, float) else value
    return not isinstance(value, torch.Tensor) or bool(torch.isfinite(value).all())


def describe(
    bad: list[str], outputs: Mapping, recorded: Mapping[tuple[str, str], torch.Tensor]
) -> str:
    """Which losses, and which of the networks' logits, are not finite."""
    losses = [f'{name} is {float(outputs[name]):.3g}' for name in bad if name != 'loss']
    parts = losses or (['the loss is not finite'] if bad else [])
    parts = parts or ['the losses are finite, but the gradient is not']
    for (network, tap), logits in recorded.items():
        wrong = int((~torch.isfinite(logits)).sum())
        if wrong:
            parts.append(
                f"the {network}'s {tap} has {wrong} of {logits.numel()} numbers that "
                'are not finite'
            )
    if recorded and len(parts) == len(losses):
        parts.append("both networks' logits are finite")
    return ', '.join(parts)


def evidence(
    model: torch.nn.Module, batch: dict | None, outputs: Mapping | None
) -> dict:
    """What is needed to look at it, as plain tensors and text."""
    batch = batch if isinstance(batch, dict) else {}
    samples = batch.get('data_samples') or []
    return dict(
        inputs=batch.get('inputs'),
        images=[str(getattr(sample, 'img_path', '')) for sample in samples],
        losses={
            name: value.detach().cpu() if isinstance(value, torch.Tensor) else value
            for name, value in (outputs or {}).items()
        },
        logits={
            f'{network}.{tap}': logits.cpu()
            for (network, tap), logits in getattr(model, 'recorded', {}).items()
        },
        state_dict=model.state_dict(),
    )
