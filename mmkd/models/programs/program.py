"""Base class of networks that a file contains as a program."""

import sys
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmkd.checkpoint import check_file
from mmkd.errors import UserError

KEY = 'teacher.checkpoint'
ANY = range(sys.maxsize)  # sizes of an axis that is not fixed


class Outputs(dict):
    """Outputs by name; an index is a position among them."""

    def __missing__(self, key: object) -> Any:
        if isinstance(key, int):
            return list(self.values())[key]
        raise KeyError(key)


class Program(nn.Module, metaclass=ABCMeta):
    """Network of a frozen teacher that a file contains as a program.

    It accepts the sizes, and keeps the precision and the memory format, with which it
    was exported. A batch is split, and padded, if the program has a fixed batch size.

    Args:
        what: Description of the file; error messages start with it.
        key: Config key that contains the path of the file.
        sizes: Accepted sizes of each axis, (N, C, H, W). Default: any.
        dtype: Type of the images. Default: that of the images given.
    """

    def __init__(
        self,
        what: str,
        key: str,
        sizes: Sequence[range] = (ANY, ANY, ANY, ANY),
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.what = what
        self.size_key = sibling(key, 'size')
        self.sizes = tuple(sizes)
        self.dtype = dtype
        if len(self.sizes) != 4 or not all(self.sizes):
            raise UserError(
                f'{what} takes an input of {len(self.sizes)} dimensions, not a batch '
                'of images (N, C, H, W); export a network of images'
            )

    @abstractmethod
    def run(self, images: Tensor) -> Any:
        """Return the outputs for a batch of accepted sizes: a tensor, list or dict."""

    def forward(self, images: Tensor) -> Any:
        """Return the outputs for (N, C, H, W) images of any N."""
        self._check_sizes(images)
        if self.dtype in (None, images.dtype):
            images = images.contiguous()
        elif self.dtype == torch.uint8:
            images = images.round().clamp(0, 255).to(self.dtype).contiguous()
        else:
            images = images.to(self.dtype).contiguous()
        batches = self.sizes[0]
        parts = images.split(batches[-1])
        short = batches[0] - len(parts[-1])
        if short > 0:  # repeat an image to fill the last part
            last = torch.cat([parts[-1], parts[-1][-1:].expand(short, -1, -1, -1)])
            parts = (*parts[:-1], last)
        outputs = [self._run(part) for part in parts]
        found = outputs[0]
        if len(outputs) > 1 or short > 0:
            found = tree_map(lambda *some: _join(some, len(images)), *outputs)
        return Outputs(found) if isinstance(found, dict) else found

    def _run(self, images: Tensor) -> Any:
        try:
            return self.run(images)
        except UserError:
            raise
        except Exception as error:  # of any kind, as the program decides what fails
            raise UserError(
                f'{self.what} fails for images of {tuple(images.shape)}: '
                f'{one_line(error)}; export it again with these sizes, or set '
                f'{self.size_key}=(H, W) to sizes that it accepts'
            ) from error

    def _check_sizes(self, images: Tensor) -> None:
        """Raise a UserError for images whose channels or size are not accepted."""
        _, channels, *size = self.sizes
        if images.shape[1] not in channels:
            raise UserError(
                f'{self.what} takes images with {_describe(channels)} channels, not '
                f'{images.shape[1]}; give a program for such images'
            )
        height, width = images.shape[2:]
        if height not in size[0] or width not in size[1]:
            expected = f'{_describe(size[0])} x {_describe(size[1])}'
            accepted = [
                min(max(s, r[0]) // r.step * r.step, r[-1])
                for s, r in zip((height, width), size, strict=True)
            ]
            raise UserError(
                f'{self.what} takes images of {expected} pixels (height x width), not '
                f'{height} x {width}; set {self.size_key}={tuple(accepted)}, or '
                'export it with a dynamic height and width'
            )

    def _apply(self, fn: Callable, recurse: bool = True) -> 'Program':
        """Move between devices, but keep types and memory formats."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(fn(torch.empty(0, device=tensor.device)).device)

        return super()._apply(move, recurse)


def _join(parts: tuple, count: int) -> Any:
    """Return the outputs of the parts of a batch of ``count`` images as one."""
    if isinstance(parts[0], Tensor) and parts[0].ndim:
        return torch.cat(parts)[:count]
    return parts[0]


def check_program(file: str, key: str) -> tuple[Path, str]:
    """Return a file's path, and its description for error messages.

    Raises:
        UserError: for a missing or damaged file.
    """
    path, what = Path(file).expanduser(), f"{key}: '{file}'"
    give = f'give another with --cfg-options {key}=PATH'
    if '://' in file:
        raise UserError(f'{what} is a URL: download it yourself, and {give}')
    check_file(path, what, give)
    return path, what


def allow(loader: str, key: str) -> str:
    """Return the hint for loading a file with code by the loader of a library."""
    return (
        'if you trust it as you trust a program, set '
        f'{sibling(key, "allow_code")}=True, which loads it with {loader}'
    )


def sibling(key: str, name: str) -> str:
    """Return another config key beside that of a program's file.

    Example:
        >>> sibling('teacher.checkpoint', 'size')
        'teacher.size'
    """
    return f'{key.rpartition(".")[0]}.{name}'


def one_line(error: Exception) -> str:
    """Return an error's type and the start of its text on one line."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text[:200]}' if text else type(error).__name__


def _describe(sizes: range) -> str:
    """Describe the accepted sizes of an axis."""
    if len(sizes) == 1:
        return str(sizes[0])
    found = f'{sizes[0]} to {sizes[-1]}'
    if sizes.stop == sys.maxsize:
        found = f'at least {sizes[0]}' if sizes[0] else 'any'
    return found if sizes.step == 1 else f'{found} (multiples of {sizes.step})'
