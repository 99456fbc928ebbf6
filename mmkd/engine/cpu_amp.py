"""Automatic mixed precision without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmkd.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Optimizer wrapper that runs the forward pass in bf16 on a CPU.

    The counterpart of MMEngine's AmpOptimWrapper for GPUs. bf16 has the range of
    float32, so no loss scaling is needed. It is faster only on processors with bf16
    instructions (AMX, AVX512-BF16).

    Args:
        args: Arguments of OptimWrapper.
        enabled: Run in bf16; otherwise this is an OptimWrapper. Default True.
        kwargs: Arguments of OptimWrapper.
    """

    def __init__(self, *args: Any, enabled: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.enabled = enabled

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the forward pass."""
        autocast = torch.autocast('cpu', torch.bfloat16, enabled=self.enabled)
        with super().optim_context(model), autocast:
            yield
