"""Automatic mixed precision without a GPU."""

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from mmkd.registry import OPTIM_WRAPPERS


def bf16_is_emulated() -> bool:
    """Return True for an x86 processor without bf16 instructions (AMX, AVX512-BF16)."""
    # Not in older versions of PyTorch.
    native = getattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)
    return platform.machine() in ('x86_64', 'AMD64') and not native()


@cache  # once a process: a choice of the speed runs several wrappers
def warn_of_emulation() -> None:
    """Log a warning if the processor emulates bf16."""
    if bf16_is_emulated():
        print_log(
            'This processor has no bf16 instructions, so bf16 is several times slower '
            "than float32: remove --amp or speed.amp, or set speed='auto'",
            'current',
            logging.WARNING,
        )


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Optimizer wrapper that runs the forward pass in bf16 on a CPU.

    The counterpart of MMEngine's AmpOptimWrapper for GPUs. bf16 has the range of
    float32, so no loss scaling is needed. It is faster only on processors with bf16
    instructions (AMX, AVX512-BF16), and several times slower on others, for which a
    warning is logged.

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
        if self.enabled:
            warn_of_emulation()
        autocast = torch.autocast('cpu', torch.bfloat16, enabled=self.enabled)
        with super().optim_context(model), autocast:
            yield
