"""Outputs of a teacher that trainings share on disk."""

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor


class SharedOutputs:
    """Function that calculates the teacher's outputs once for each batch.

    The first batch is always calculated: mmkd then converts the teacher to its
    precision, in which a validation compares it with the student.

    Args:
        calculate: Function of images and taps that runs the teacher.
        folder: Folder of the files, one for each batch.
    """

    def __init__(
        self, calculate: Callable[..., Mapping[str, Tensor]], folder: Path
    ) -> None:
        self.calculate, self.folder = calculate, folder
        self.is_first = True

    def __call__(self, images: Tensor, taps: Sequence[str]) -> Mapping[str, Tensor]:
        """Read the outputs of the taps, or calculate and write them."""
        key = blake2b(' '.join(taps).encode(), digest_size=16)
        key.update(images.contiguous().numpy())
        path = self.folder / f'{key.hexdigest()}.pth'
        if path.is_file() and not self.is_first:
            return torch.load(path, weights_only=True)
        self.is_first = False
        outputs = self.calculate(images, taps)
        self.folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f'.{os.getpid()}')  # others may write the same
        torch.save(dict(outputs), new)
        new.replace(path)
        return outputs


@HOOKS.register_module()
class SharedTeacherHook(Hook):
    """Share the teacher's outputs with other trainings, on a CPU.

    Trainings with equal seed and data have the same batches in the same order, so the
    teacher runs only in the first of them; the others read all outputs but the first.
    Their results are the same to the bit, only their time is not: it must be measured
    without this hook. The files are in a folder beside the teacher's checkpoint, named
    by a hash of its content and of the options that accelerate it.
    """

    def before_train(self, runner: Runner) -> None:
        """Replace the function that runs the teacher."""
        checkpoint = Path(runner.cfg.teacher.checkpoint)
        teacher = runner.model.teacher
        key = blake2b(checkpoint.read_bytes(), digest_size=8)
        key.update(repr(teacher.fast_path).encode())
        folder = checkpoint.parent / 'outputs' / key.hexdigest()
        teacher.outputs = SharedOutputs(teacher.outputs, folder)
