"""MMEngine's Runner with a robust runtime, for training with and without a teacher."""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import is_main_process, master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import (
    BaseModel,
    BaseTTAModel,
    is_model_wrapper,
    revert_sync_batchnorm,
)
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import HOOKS, METRICS, OPTIM_WRAPPERS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner import Runner as MMEngineRunner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmseg.evaluation import IoUMetric
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from mmkd.checkpoint import (
    check_saved,
    read_checkpoint,
    state_and_meta,
    weights_only_by_default,
)
from mmkd.checkpoint_fit import check_fit, check_some_fit
from mmkd.datasets.check_folders import check_listing, naming_folders
from mmkd.datasets.checked_dataset import CheckedDataset, load_first
from mmkd.datasets.position_seeding import (
    PositionBatchSampler,
    PositionDataset,
    random_numbers_kept,
)
from mmkd.datasets.wrapped_dataset import with_dataset
from mmkd.engine.atomic_file import write_atomically
from mmkd.engine.batch_padding import check_padding
from mmkd.engine.checkpoint_hook import SafeCheckpointHook, latest_checkpoint
from mmkd.engine.end_with_launcher import end_with_launcher
from mmkd.engine.freed_pages import keep_freed_pages
from mmkd.engine.hooks import (
    BatchSizeHook,
    BroadcastBuffersHook,
    DeterministicHook,
    FiniteHook,
    FirstPredictionHook,
    MemoryHook,
    MissingClassesHook,
    ResumedValidationHook,
    SaveOnSignalHook,
    SkippedSamplesHook,
    SpeedHook,
)
from mmkd.engine.hooks.deterministic_hook import position_seeds
from mmkd.engine.num_classes import check_num_classes, segmentation_head
from mmkd.engine.optim_wrappers import each_wrapper
from mmkd.engine.pretrained import check_pretrained
from mmkd.engine.resumed_settings import changed_settings
from mmkd.engine.work_dir_lock import is_locked, locked
from mmkd.errors import UserError
from mmkd.evaluation import ClassIoUMetric
from mmkd.evaluation.ignore_index import ignored_by
from mmkd.origin import command, version
from mmkd.registry import RUNNERS, is_type

# What MMEngine and PyTorch raise for a state of another form than they have saved.
MISFITS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)


@RUNNERS.register_module()
class Runner(MMEngineRunner):
    """MMEngine's Runner with a robust runtime.

    * Deterministic resume, bit-identical on a CPU; see :class:`DeterministicHook`.
    * Atomic checkpoints; ``resume=True`` resumes from the last complete one.
    * A lock that allows one training at a time in a work_dir.
    * Loading of checkpoints as weights only, so that untrusted files run no code.
    * A check before each optimizer step that the gradient is finite; see
      :class:`FiniteHook`.
    * Checks of the folders, files and labels of the datasets, with errors that name
      them.
    * The intersection over union (IoU) of each class as a metric, ``IoU/<class>``.
    * Distributed training without a GPU, with the gloo backend.
    * A prediction on a validation image before the first iteration; see
      :class:`FirstPredictionHook`.
    * On a CPU, kept memory, and the precision and layout of the config key ``speed``;
      see :class:`SpeedHook`.
    * Evaluation only if the checkpoint has all weights of the network.

    ``runner_type = 'mmkd.Runner'`` in a config selects it in any train.py; mmkd's own
    tools use it by default.
    """

    model: BaseModel
    _resume: bool
    _load_from: str | None
    _saved_once = False
    first_batch: Any = None  # of the validation, until the training starts
    own_hooks: tuple[type[Hook], ...] = (
        FirstPredictionHook,
        FiniteHook,
        MemoryHook,
        DeterministicHook,
        SaveOnSignalHook,
        ResumedValidationHook,
        SkippedSamplesHook,
        MissingClassesHook,
        BatchSizeHook,
        BroadcastBuffersHook,
    )

    @property
    def network(self) -> nn.Module:
        """The network of the config's ``model``, without a distributed wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def training_loaders(self) -> dict[str, Any]:
        """The loaders of the training by what their samples are called."""
        return {'training': self.train_dataloader}

    def setup_env(self, env_cfg: dict) -> None:
        """Initialize the distributed environment, with gloo if there is no GPU.

        Raises:
            UserError: for a launcher that needs a GPU, more processes than GPUs, or an
                invalid timeout.
        """
        if self._launcher != 'none':
            end_with_launcher()
        timeout = (env_cfg.get('dist_cfg') or {}).get('timeout')
        timeout = 1800 if timeout is None else timeout
        if not isinstance(timeout, int | float) or timeout <= 0:
            raise UserError(
                f'env_cfg.dist_cfg.timeout: {timeout!r} is not a number of seconds; '
                'set it to a positive number such as 1800'
            )
        if self._launcher == 'pytorch' and get_device() == 'cpu':
            # MMEngine's own initialization requires a GPU.
            torch.distributed.init_process_group(
                'gloo', timeout=timedelta(seconds=timeout)
            )
        elif self._launcher == 'pytorch':
            processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
            check_processes(processes, torch.cuda.device_count())
        elif self._launcher != 'none' and get_device() == 'cpu':
            raise UserError(
                f'--launcher {self._launcher} needs a GPU; on CPUs use '
                'tools/dist_train.sh (--launcher pytorch)'
            )
        super().setup_env(env_cfg)

    def _log_env(self, env_cfg: dict) -> None:
        """Log version and command line, then MMEngine's description of the machine."""
        origin = f'Origin:\n    mmkd: {version()}\n    command: {command()}'
        self.logger.info(f'\n{origin}')
        super()._log_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training, also on CPUs."""
        if self.distributed and get_device() == 'cpu':
            self.cfg.pop('sync_bn', None)  # gloo does not support SyncBN
            model = revert_sync_batchnorm(model)
            if model_wrapper_cfg is None:
                model_wrapper_cfg = dict(
                    broadcast_buffers=False,
                    find_unused_parameters=self.cfg.get(
                        'find_unused_parameters', False
                    ),
                )
            model_wrapper_cfg = {'device_ids': None, **model_wrapper_cfg}
        return super().wrap_model(model_wrapper_cfg, model)

    def register_hooks(
        self,
        default_hooks: dict | None = None,
        custom_hooks: list | None = None,
    ) -> None:
        """Register the config's hooks, and those of ``own_hooks`` not among them.

        MMEngine's CheckpointHook is replaced by :class:`SafeCheckpointHook`.
        """
        default_hooks = dict(default_hooks or {})
        checkpoint = default_hooks.get('checkpoint', {'type': CheckpointHook})
        if is_type(checkpoint, CheckpointHook, HOOKS):
            safe = dict(checkpoint, type=SafeCheckpointHook)
            default_hooks['checkpoint'] = safe
        super().register_hooks(default_hooks, custom_hooks)
        for kind in self.own_hooks:
            if not any(isinstance(hook, kind) for hook in self.hooks):
                self.register_hook(kind())
        if self.cfg.get('speed') is not None:
            self.register_hook(SpeedHook(self.cfg.speed))

    @master_only
    def dump_config(self) -> None:
        """Write the config to the work_dir, unless another process trains there."""
        if is_locked(self.work_dir):
            return
        name = Path(self.cfg.filename or f'{self.timestamp}.py').name
        path = Path(self.work_dir, name)
        if path.is_symlink():  # do not write to its target
            path.unlink()
        super().dump_config()

    def train(self) -> nn.Module:
        """Train while holding the lock of the work_dir.

        On a CPU, freed memory is kept; see :func:`keep_freed_pages`.

        Raises:
            UserError: if another process trains in the work_dir.
        """
        if get_device() == 'cpu' and keep_freed_pages():
            self.logger.info(
                'Freed memory of up to 32 MiB a block is kept in the process (glibc), '
                'which is faster; any variable MALLOC_... prevents it'
            )
        with locked(self.work_dir) if is_main_process() else nullcontext():
            try:
                return super().train()
            finally:
                for hook in self.hooks:
                    if isinstance(hook, SaveOnSignalHook):
                        hook.restore()

    def _start_split(self, split: str) -> None:
        """Set the split for ``build_dataloader``, and call it for a DataLoader object.

        MMEngine builds a DataLoader from its config, but uses an object unchanged.
        """
        self._split = split
        name = f'_{split}_dataloader'
        if isinstance(loader := getattr(self, name), DataLoader):
            setattr(self, name, self.build_dataloader(loader))

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop and its data loader."""
        self._start_split('train')
        return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the validation loop and its data loader."""
        self._start_split('val')
        return super().build_val_loop(loop)

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the test loop and its data loader."""
        self._start_split('test')
        return super().build_test_loop(loop)

    def build_dataloader(
        self,
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """Build a loader of checked samples, with deterministic seeds in training.

        The first sample of a validation, test or unlabeled dataset is loaded
        immediately, so that an error in its pipeline is found before the training.

        Raises:
            UserError: if there is no data, or the network's classes do not match it.
        """
        key = f'{self._split}_dataloader.dataset'
        config = dataloader['dataset'] if isinstance(dataloader, dict) else None
        with naming_folders(config, key):
            loader = super().build_dataloader(dataloader, seed, diff_rank_seed)
            check_listing(loader.dataset, key)
        if self._split in ('val', 'test'):
            evaluator = getattr(self, f'_{self._split}_evaluator')
            dataset = CheckedDataset(
                loader.dataset,
                ignore_index=ignored_by(evaluator),
                evaluated=True,
                key=key,
            )
            with random_numbers_kept():
                batch = load_first(dataset, loader)
            self.first_batch = batch if self._split == 'val' else None
            return with_dataset(loader, dataset)
        labeled = self._split == 'train'
        if labeled:
            check_num_classes(self.network, loader.dataset)
            check_padding(self.network)
        head = segmentation_head(self.network)
        dataset = CheckedDataset(
            loader.dataset,
            getattr(head, 'num_classes', None),
            getattr(head, 'ignore_index', 255),
            skip=bool(self.cfg.get('skip_corrupt')),
            key=key,
            labeled=labeled,
        )
        if not labeled:
            with random_numbers_kept():
                load_first(dataset, loader)
        batches = PositionBatchSampler(
            loader.batch_sampler, position_seeds(self), f'{self._split}_dataloader'
        )
        return with_dataset(loader, PositionDataset(dataset), batches)

    def build_evaluator(self, evaluator: dict | list | Evaluator) -> Evaluator:
        """Build an evaluator whose IoUMetric also reports the IoU of each class."""
        if isinstance(evaluator, Evaluator):
            return super().build_evaluator(evaluator)
        metrics = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
        return super().build_evaluator(
            [
                dict(metric, type=ClassIoUMetric)
                if is_type(metric, IoUMetric, METRICS)
                else metric
                for metric in metrics
            ]
        )

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the optimizer wrapper.

        Raises:
            UserError: for MMEngine's AmpOptimWrapper without a GPU.
        """
        amp = is_type(optim_wrapper, AmpOptimWrapper, OPTIM_WRAPPERS)
        if amp and get_device() == 'cpu':
            raise UserError(
                'optim_wrapper.type: AmpOptimWrapper needs a GPU; on a CPU, train in '
                "bf16 with 'mmkd.CpuAmpOptimWrapper' (--amp)"
            )
        plain = isinstance(optim_wrapper, Mapping) and 'optimizer' in optim_wrapper
        if plain and self.cfg.get('speed') is not None and get_device() == 'cpu':
            given = {'type': OptimWrapper, **optim_wrapper}
            if is_type(given, OptimWrapper, OPTIM_WRAPPERS):  # may become bf16
                kind = 'mmkd.CpuAmpOptimWrapper'
                optim_wrapper = dict(optim_wrapper, type=kind, enabled=False)
        return super().build_optim_wrapper(optim_wrapper)

    def _init_model_weights(self) -> None:
        """Initialize the weights, reading pretrained files as weights only.

        Raises:
            UserError: if a file in ``init_cfg`` or ``pretrained`` cannot be read
                safely.
        """
        check_pretrained(self.cfg.get('model') or {})
        with weights_only_by_default():
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        """Load ``load_from``, or resume from the work_dir's last complete checkpoint.

        Without a checkpoint in the work_dir, the run starts from scratch.
        """
        if self._resume and self._load_from is None:
            hooks = [hook for hook in self.hooks if isinstance(hook, CheckpointHook)]
            out_dir = hooks[0].out_dir if hooks else None
            latest = latest_checkpoint(self.work_dir, out_dir)
            self._resume = latest is not None
            self._load_from = str(latest) if latest else None
        super().load_or_resume()

    def resume(self, filename: str, *args: object, **kwargs: object) -> None:
        """Resume a training, logging settings that have changed.

        Raises:
            UserError: if the checkpoint belongs to another network or optimizer.
        """
        try:
            super().resume(filename, *args, **kwargs)
            for wrapper in each_wrapper(self.optim_wrapper):
                check_optimizer(wrapper.optimizer)
        except UserError:
            raise
        except MISFITS as error:
            if not self._has_loaded:  # of the checkpoint itself, or of a hook
                raise
            raise UserError(
                f"optim_wrapper: the training state in '{filename}' does not match "
                f'({type(error).__name__}: {error}); resume with the optimizer of that '
                'run, or start a new run from the checkpoint with load_from'
            ) from error
        loop = self.train_loop
        if isinstance(loop, IterBasedTrainLoop | EpochBasedTrainLoop) and (
            self.iter >= self.max_iters
        ):
            self.logger.info(
                f"Nothing is left to train, as the run of '{filename}' is finished; to "
                'continue it, raise max_iters or max_epochs of train_cfg'
            )

    def load_checkpoint(
        self,
        filename: str,
        map_location: object = 'cpu',
        strict: bool = False,
        revise_keys: list = [(r'^module\.', '')],  # noqa: B006  as MMEngine's
    ) -> dict:
        """Load a checkpoint as weights only, always onto the CPU.

        Raises:
            UserError: if it cannot be read safely, has no training state to resume, or
                lacks weights that evaluation needs.
        """
        training = isinstance(self._train_loop, BaseLoop)
        key = 'load_from' if training else 'checkpoint'
        checkpoint = read_checkpoint(filename, key)
        state, meta = state_and_meta(checkpoint, filename, key)
        meta.pop('config', None)  # MMEngine would execute it
        position = isinstance(checkpoint.get('message_hub'), dict) and all(
            meta.get(name, -1) >= 0 for name in ('epoch', 'iter')
        )
        if training and self._resume and not position:
            raise UserError(
                f"load_from: '{filename}' has weights, but no training state to "
                'resume; start a new run from it with resume=False'
            )
        if not training or self._resume:
            network = self.network
            if isinstance(network, BaseTTAModel):
                network = network.module
            check_fit(network, state, f"{key}: '{filename}'", allow_extra=not training)
        else:
            check_some_fit(self.network, state, f"{key}: '{filename}'")
        if training and self._resume and (text := meta.get('cfg')):
            for line in changed_settings(text, self.cfg.pretty_text):
                self.logger.warning(f'Resumed with a changed setting: {line}')
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=revise_keys)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    @master_only
    def save_checkpoint(
        self, out_dir: str, filename: str, *args: object, **kwargs: object
    ) -> None:
        """Save a checkpoint, atomically if ``out_dir`` is a local folder.

        The first checkpoint is read back to check that a resume can load it.

        Raises:
            UserError: if it cannot be written or would be refused on resume; earlier
                checkpoints are kept.
        """
        if '://' in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with write_atomically(Path(out_dir, filename)) as new:
            super().save_checkpoint(out_dir, new.name, *args, **kwargs)
            if not self._saved_once:
                check_saved(new)
                self._saved_once = True


def check_optimizer(optimizer: Optimizer) -> None:
    """Raise a ValueError if an optimizer has loaded the state of another type."""
    for group in optimizer.param_groups:
        if missing := set(optimizer.defaults) - set(group):
            kind = type(optimizer).__name__
            raise ValueError(f'it lacks {min(missing)}, which {kind} needs')


def check_processes(processes: int, gpus: int) -> None:
    """Raise a UserError if a machine has more processes than GPUs."""
    if processes > gpus:
        raise UserError(
            f'--launcher pytorch: {processes} processes, but this machine has {gpus} '
            'GPUs visible (CUDA_VISIBLE_DEVICES); start dist_train.sh with '
            f'{gpus} processes'
        )
