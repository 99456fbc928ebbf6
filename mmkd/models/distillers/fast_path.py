"""A frozen network that computes the same in less time."""

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.dist import broadcast_object_list
from torch import Tensor, nn

from mmkd.errors import UserError

HALF = dict(bf16=torch.bfloat16, fp16=torch.float16)
RUNS = 2  # of each candidate, the first of which warms it up


@dataclass(frozen=True)
class FastPath:
    """How the teacher is made faster: keys of ``model.teacher``.

    Args:
        fuse_conv_bn: Fold each BN into the convolution before it; exact but for
            rounding. Undone if the first batch shows otherwise. Default True.
        channels_last: Keep images and weights in NHWC order; exact. Default True.
        precision: ``'fp32'``, the default; ``'bf16'`` or ``'fp16'``, which round the
            teacher's logits; or ``'auto'``: the fastest of them on the first batch.
        compile: Compile the backbone with ``torch.compile``. Default False: it takes
            minutes, and on a CPU it is slower.

    Raises:
        UserError: for another ``precision``.
    """

    fuse_conv_bn: bool = True
    channels_last: bool = True
    precision: Literal['fp32', 'bf16', 'fp16', 'auto'] = 'fp32'
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ('fp32', *HALF, 'auto'):
            raise UserError(
                f"model.teacher.precision must be 'fp32', 'bf16', 'fp16' or 'auto', "
                f"not '{self.precision}'"
            )

    def apply(self, model: nn.Module, images: Tensor) -> tuple[nn.Module, str]:
        """Makes a faster network of ``model``, which it may use up.

        Args:
            model: A segmentor or classifier in eval mode.
            images: A batch, preprocessed.

        Returns:
            The network and what to log: how fast it is on this batch, and how often it
            says the same class as before.
        """
        plain, slow = _run(model, images)
        fused = copy.deepcopy(model)
        if self.fuse_conv_bn:
            fuse_conv_bn(fused)
            if _differ(_run(fused, images)[0], plain):
                fused = copy.deepcopy(model)
        names = [self.precision]
        if self.precision == 'auto':  # half precision is slow on a CPU
            names = ['fp32', 'bf16', *(['fp16'] if images.is_cuda else [])]
        found = {}
        for name in names:
            candidate = self._convert(
                copy.deepcopy(fused), HALF.get(name, images.dtype)
            )
            found[name] = candidate, *_run(candidate, images)
        best = [min(found, key=lambda name: found[name][2])]
        broadcast_object_list(best)  # all processes learn from one and the same
        candidate, output, fast = found[best[0]]
        return candidate, (
            f'Teacher in {best[0]}: {1000 * fast:.0f} ms for the first batch, plain '
            f'{1000 * slow:.0f} ms; {_agreement(output, plain)}'
        )

    def _convert(self, model: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Brings a network, and whatever images it is given, to its format."""
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        model.to(dtype=dtype, memory_format=layout)

        def convert(module: nn.Module, inputs: tuple) -> tuple:
            images, *rest = inputs
            return images.to(dtype=dtype, memory_format=layout), *rest

        entry = getattr(model, 'backbone', model)
        entry.register_forward_pre_hook(convert)
        if self.compile:
            entry.compile()
        return model.eval()  # what folding put in place of BN, too


@torch.no_grad()
def _run(model: nn.Module, images: Tensor) -> tuple[object, float]:
    """What a network gives, and the seconds of its fastest run."""
    seconds = []
    for _ in range(RUNS):
        _wait(images)
        start = time.perf_counter()
        output = model(images, mode='tensor')
        _wait(images)
        seconds.append(time.perf_counter() - start)
    return output, min(seconds)


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def _tensors(output: object) -> Iterable[Tensor]:
    """The tensors of an output, which may nest them."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple):
        for item in output:
            yield from _tensors(item)


def _differ(output: object, expected: object) -> bool:
    """Whether outputs differ by more than folding may round."""
    pairs = zip(_tensors(output), _tensors(expected), strict=True)
    return any((a - b).norm() > 1e-3 * b.norm() for a, b in pairs)


def _agreement(output: object, expected: object) -> str:
    """How often two outputs, logits first, have the same largest class."""
    a, b = next(iter(_tensors(output))), next(iter(_tensors(expected)))
    same = (a.argmax(1) == b.argmax(1)).double().mean()
    return f'the same class at {100 * float(same):.2f} % of the positions'
