"""A Runner for the machine at hand: a GPU box, a cluster or a laptop."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.model import (
    BaseTTAModel,
    MMDistributedDataParallel,
    is_model_wrapper,
    revert_sync_batchnorm,
)
from mmengine.runner import Runner

from mmkd.checkpoint import check_fit, load_weights, only_weights
from mmkd.engine.pretrained import check_pretrained
from mmkd.engine.saving import save_safely
from mmkd.errors import UserError

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def guarded() -> Iterator[None]:
    """What a tool runs in.

    Prints a UserError as one line, without a traceback, and exits with 1; has every
    checkpoint read as weights only; takes leave of the other processes, for a group
    whose threads still run when the interpreter ends may abort it.
    """
    try:
        with only_weights():
            yield
    except UserError as error:
        sys.exit(f'error: {error}')
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        what = f"'{error.filename}'" if error.filename else 'the work_dir'
        sys.exit(
            f'error: {what}: {error.strerror}; make room there, or choose another '
            '--work-dir; checkpoints are as they were: go on with --resume'
        )
    except SystemExit:  # on a signal, all together
        leave_group()
        raise
    leave_group()


def leave_group() -> None:
    """Takes leave of the other processes."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class CpuRunner(Runner):
    """A Runner whose processes train without a GPU: gloo, plain BN, no device ids."""

    def wrap_model(
        self, model_wrapper_cfg: dict | None, model: torch.nn.Module
    ) -> torch.nn.Module:
        """Wraps the model for several CPU processes, if there are several."""
        if not self.distributed:
            return super().wrap_model(model_wrapper_cfg, model)
        return MMDistributedDataParallel(
            revert_sync_batchnorm(model.to('cpu')),
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.get('find_unused_parameters', False),
        )


class SameBuffersHook(Hook):
    """Has all processes validate with the BN statistics of rank 0, which it saves.

    BN, unlike SyncBN, leaves each process its own; the metric would then be one that
    the checkpoint does not give.
    """

    priority = 'LOWEST'  # after EMAHook has put its weights in place

    def before_val_epoch(self, runner: Runner) -> None:
        """Sends rank 0's buffers to the others."""
        for buffer in runner.model.buffers():
            broadcast(buffer)


def build_runner(config: Config) -> Runner:
    """Builds the Runner that suits the machine; the config stays as it is.

    With a GPU: MMEngine's Runner, with nccl and SyncBN if the config says so. Without:
    gloo and BN.

    Raises:
        UserError: for a launcher that needs a GPU where there is none.
    """
    save_safely()
    if get_device() != 'cpu':
        if config.launcher == 'pytorch':
            check_processes(
                int(os.environ.get('LOCAL_WORLD_SIZE', 1)), torch.cuda.device_count()
            )
        return Runner.from_cfg(config)
    if config.launcher == 'pytorch':
        # MMEngine's own start would ask for a GPU first.
        timeout = config.env_cfg.get('dist_cfg', {}).get('timeout', 1800)
        torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=timeout))
    elif config.launcher != 'none':
        raise UserError(
            f'--launcher {config.launcher} needs a GPU; on CPUs use '
            'tools/dist_train.sh (--launcher pytorch)'
        )
    runner = CpuRunner.from_cfg(config)
    if runner.distributed:
        runner.register_hook(SameBuffersHook())
    return runner


def check_processes(processes: int, gpus: int) -> None:
    """Raises a UserError for more processes on a machine than it has GPUs."""
    if processes > gpus:
        raise UserError(
            f'--launcher pytorch: {processes} processes, but this machine has {gpus} '
            f'GPUs (that CUDA_VISIBLE_DEVICES shows); start dist_train.sh with {gpus}'
        )


def check_start(runner: Runner) -> None:
    """Raises a UserError if a training cannot begin.

    It cannot if MMEngine's mixed precision finds no GPU, or if what it starts from,
    ``load_from`` or what the network's parts are initialised with, is no checkpoint. To
    be called once the processes know each other: only one of them downloads.
    """
    kind = runner.cfg.optim_wrapper.get('type')
    if kind == 'AmpOptimWrapper' and get_device() == 'cpu':
        raise UserError(
            f'optim_wrapper.type: {kind} needs a GPU; on a CPU --amp trains in bf16'
        )
    check_pretrained(runner.cfg.model)
    if runner.cfg.get('load_from'):
        load_weights(runner.cfg.load_from, 'load_from')


def check_checkpoint(runner: Runner) -> None:
    """Raises a UserError unless ``load_from`` has every weight of the Runner's model.

    MMEngine would warn, and evaluate what was not loaded with random weights.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if isinstance(model, BaseTTAModel):
        model = model.module
    path = runner.cfg.load_from
    state, _ = load_weights(path, 'checkpoint')
    check_fit(model, state, f"checkpoint: '{path}'", allow_extra=True)
