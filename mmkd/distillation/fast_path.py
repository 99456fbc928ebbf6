"""Acceleration of a frozen network without changing its outputs."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.dist import all_reduce, broadcast_object_list
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmkd.errors import UserError

from .run_to_logits import run_to_logits
from .taps import record

HALF = dict(bf16=torch.bfloat16, fp16=torch.float16)
# Arguments of torch.compile for each value of ``compile``, and those with CUDA graphs.
COMPILE: dict[bool | str, dict[str, str]] = {
    True: {},
    'reduce-overhead': dict(mode='reduce-overhead'),
    'cudagraphs': dict(backend='cudagraphs'),
}
GRAPHS = ('reduce-overhead', 'cudagraphs')
RUNS = 2  # timed runs of each candidate; the first is a warm-up


@dataclass(frozen=True)
class FastPath:
    """Options that accelerate the teacher, given as keys of ``teacher``.

    Args:
        fuse_conv_bn: Fold each batch normalization (BN) into the preceding convolution;
            exact up to rounding. Skipped if it changes the outputs or taps on the first
            batch. Default True.
        channels_last: Use the NHWC memory format for images and weights; exact. Skipped
            if it fails or changes the outputs or taps on the first batch. Default True.
        precision: ``'fp32'``, the default; ``'bf16'`` or ``'fp16'``, which round the
            teacher's logits; or ``'auto'``, the fastest on the first batch.
        compile: True compiles the backbone with ``torch.compile``. Default False,
            because it takes minutes and is slower on a CPU. On a GPU also
            ``'reduce-overhead'``, which adds CUDA graphs, or ``'cudagraphs'``, CUDA
            graphs of the kernels that run without it: exact, and ready in seconds.
        overlap: On a GPU, run the teacher on a CUDA stream of its own, at the same time
            as the student's forward pass; exact. The images must not be changed by the
            student. Not with CUDA graphs. Default False, since it has not been run on a
            GPU, and can only help where the student leaves a part of the GPU idle.
        key: Config key of the teacher, for messages.

    Raises:
        UserError: for an invalid value.
    """

    fuse_conv_bn: bool = True
    channels_last: bool = True
    precision: Literal['fp32', 'bf16', 'fp16', 'auto'] = 'fp32'
    compile: bool | Literal['reduce-overhead', 'cudagraphs'] = False
    overlap: bool = False
    key: str = field(default='teacher', compare=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.precision not in ('fp32', *HALF, 'auto'):
            raise UserError(
                f"{self.key}.precision must be 'fp32', 'bf16', 'fp16' or 'auto', "
                f"not '{self.precision}'"
            )
        if self.compile not in (False, *COMPILE):
            raise UserError(
                f"{self.key}.compile must be True, False, 'reduce-overhead' or "
                f"'cudagraphs', not {self.compile!r}"
            )
        for name in ('fuse_conv_bn', 'channels_last', 'overlap'):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise UserError(
                    f'{self.key}.{name} must be True or False, not {value!r}'
                )
        if self.overlap and self.graphs:
            raise UserError(
                f'{self.key}.overlap: CUDA graphs do not run on a stream of their own; '
                f'remove it, or {self.key}.compile={self.compile!r}'
            )

    @property
    def graphs(self) -> bool:
        """True if the next run overwrites the outputs, as CUDA graphs do."""
        return self.compile in GRAPHS

    def apply(
        self, model: nn.Module, images: Tensor, taps: Iterable[str] = ()
    ) -> tuple[nn.Module, str]:
        """Return an accelerated version of ``model``, which may be modified.

        Args:
            model: Segmentor or classifier in eval mode.
            images: Preprocessed batch.
            taps: Modules whose outputs must not change.

        Returns:
            The network, and a line to log with its speed on this batch and the share of
            unchanged predictions.

        Raises:
            UserError: for outputs that are not finite; the message names the first
                layer. Also for outputs that are not finite in half precision.
        """
        plain, slow = _run(model, images, taps)
        # An error in a single process suffices: the launcher ends the others.
        if not _finite(plain):
            raise UserError(f'{self.key}: {_first_not_finite(model, images)}')
        notes = []
        fused = copy.deepcopy(model)
        if self.fuse_conv_bn and not _same(_fold, fused, images, taps, plain):
            fused = copy.deepcopy(model)
            notes.append('fuse_conv_bn')
        layout = torch.channels_last if self.channels_last else torch.preserve_format
        if self.channels_last:
            trial = copy.deepcopy(fused)
            convert = partial(_convert, dtype=images.dtype, layout=layout)
            if not _same(convert, trial, images, taps, plain):
                layout = torch.preserve_format
                notes.append('channels_last')
        names: list[str] = [self.precision]
        if self.precision == 'auto':
            names = ['fp32', 'bf16', *(['fp16'] if images.is_cuda else [])]
        found = {}
        for name in names:
            try:
                candidate = copy.deepcopy(fused)
                entry = _convert(candidate, HALF.get(name, images.dtype), layout)
                if self.compile:
                    entry.compile(**COMPILE[self.compile])
                found[name] = candidate, *_run(candidate, images, taps)
            except RuntimeError:  # a layer does not support this precision
                if self.precision != 'auto':
                    raise
        best = _fastest(names, found, images.device)
        if best is None:
            raise UserError(
                f"{self.key}.precision: in '{self.precision}' the teacher's outputs "
                "are not finite; set it to 'fp32' or 'bf16'"
            )
        candidate, outputs, fast = found[best]
        without = ', '.join(notes)
        without = without and f'; without {without}, which is not exact here'
        return candidate, (
            f'{title(self.key)} in {best}: {1000 * fast:.0f} ms for the first batch, '
            f'{1000 * slow:.0f} ms before; {_agreement(outputs, plain)}{without}'
        )


def title(key: str) -> str:
    """Return the name of the teacher with a config key, for the log.

    Example:
        >>> title('teacher'), title('teacher.fine')
        ('Teacher', 'Teacher fine')
    """
    return f'T{key[1:]}'.replace('.', ' ')


def _convert(
    model: nn.Module, dtype: torch.dtype, layout: torch.memory_format
) -> nn.Module:
    """Convert a network to a fast format, and the images that its entry receives.

    Returns:
        The entry: the backbone, or the network itself.
    """
    model.to(dtype).to(memory_format=layout)

    def convert(module: nn.Module, inputs: tuple) -> tuple:
        images, *rest = inputs
        return images.to(dtype=dtype, memory_format=layout), *rest

    entry = getattr(model, 'backbone', model)
    entry.register_forward_pre_hook(convert)
    model.eval()  # includes the modules that folding inserted for BN
    return entry


def _fold(model: nn.Module) -> None:
    """Fold each BN into the preceding convolution.

    A BN that contains an activation, such as timm's BatchNormAct2d, leaves it behind.
    """
    activations = {
        name: module.get_submodule('act')
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and hasattr(module, 'act')
    }
    fuse_conv_bn(model)
    for name, activation in activations.items():
        if isinstance(model.get_submodule(name), nn.Identity):
            model.set_submodule(name, activation)


def _same(
    change: Callable[[nn.Module], object],
    model: nn.Module,
    images: Tensor,
    taps: Iterable[str],
    expected: list[Tensor],
) -> bool:
    """Apply a change to a network; return False if it changes outputs or fails."""
    try:
        change(model)
        outputs, _ = _run(model, images, taps)
    # An unsupported structure, or a tap that the next module now changes in place.
    except (AttributeError, RuntimeError, TypeError, UserError):
        return False
    return not _differ(outputs, expected)


@torch.no_grad()
def _run(
    model: nn.Module, images: Tensor, taps: Iterable[str]
) -> tuple[list[Tensor], float]:
    """Return a network's outputs and tap outputs, and its fastest run in seconds."""
    seconds = []
    with record(model, taps) as tapped:
        for _ in range(RUNS):
            _wait(images)
            start = time.perf_counter()
            output = run_to_logits(model, images, taps)
            _wait(images)
            seconds.append(time.perf_counter() - start)
    # Clones, since the next run of a CUDA graph overwrites its outputs.
    outputs = [*tensors_of(output), *tapped.values()]
    return [output.clone() for output in outputs], min(seconds)


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def tensors_of(output: object) -> Iterator[Tensor]:
    """Yield the tensors of a possibly nested output."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple):
        for item in output:
            yield from tensors_of(item)


def _fastest(names: list[str], found: dict, device: torch.device) -> str | None:
    """Return the fastest candidate with finite outputs, as timed on rank 0."""
    fine = torch.tensor(
        [name in found and _finite(found[name][1]) for name in names],
        dtype=torch.int32,
        device=device,
    )
    all_reduce(fine, 'min')
    usable = [name for name, good in zip(names, fine.tolist(), strict=True) if good]
    best = [min(usable, key=lambda name: found[name][2], default=None)]
    broadcast_object_list(best)
    return best[0]


def _finite(outputs: list[Tensor]) -> bool:
    return all(bool(output.isfinite().all()) for output in outputs)


@torch.no_grad()
def _first_not_finite(model: nn.Module, images: Tensor) -> str:
    """Describe where NaN or infinity first appears in a forward pass."""
    if not images.isfinite().all():
        return (
            'its input images contain values that are not finite; check the data and '
            "the data_preprocessor's mean and std"
        )
    found: list[str] = []

    def look(name: str) -> Callable[[nn.Module, tuple, object], None]:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            if not _finite(list(tensors_of(output))):
                found.append(name)

        return hook

    handles = [
        module.register_forward_hook(look(name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        run_to_logits(model, images)
    finally:
        for handle in handles:
            handle.remove()
    where = f"'{found[0]}' (the first such layer)" if found else 'the network'
    return (
        f'the output of {where} is not finite, although the images and weights are: '
        'the weights are damaged or do not belong to its config; give another '
        'checkpoint'
    )


def _differ(outputs: list[Tensor], expected: list[Tensor]) -> bool:
    """Return True if outputs differ by more than the rounding error of folding."""
    pairs = zip(outputs, expected, strict=True)
    return any((a - b).norm() > 1e-3 * b.norm() for a, b in pairs)


def _agreement(outputs: list[Tensor], expected: list[Tensor]) -> str:
    """Describe how often two outputs, logits first, predict the same class."""
    same = outputs[0].argmax(1) == expected[0].argmax(1)
    share = 100 * float(same.double().mean())
    return f'the same class at {share:.2f} % of the positions'
