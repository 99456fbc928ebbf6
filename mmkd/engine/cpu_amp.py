"""Automatic mixed precision where there is no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmkd.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Run the forward pass in bf16, as MMEngine's AmpOptimWrapper does on a GPU.

    bf16 has float32's range: no loss needs scaling. Faster only on processors with
    instructions for it (AMX, AVX512-BF16).
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocasts the forward pass."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
