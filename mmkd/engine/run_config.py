"""From the command line to a config that is ready to run."""

import inspect
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DATASETS, DefaultScope

from mmkd.engine.saving import latest_checkpoint
from mmkd.errors import UserError


def read_config(path: str, options: Mapping[str, object] | None = None) -> Config:
    """Reads the config of a run, with overrides of its keys.

    Raises:
        UserError: if the file does not exist, is no valid config or has no model.
    """
    if not Path(path).is_file():
        raise UserError(f"config: '{path}' does not exist")
    try:
        config = Config.fromfile(path)
        config.merge_from_dict(dict(options or {}))
    except Exception as error:  # a config is code, its overrides are anything
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(f"config: '{path}' cannot be read: {reason}") from error
    if not isinstance(config.get('model'), dict):
        raise UserError(
            f"model: '{path}' describes none; is it a base of other configs?"
        )
    return config


def load_config(args: Namespace) -> Config:
    """Reads the config with the command line's overrides; finds the work_dir.

    That is ``--work-dir``, the config's own, or ``work_dirs/<name of the config>``.

    Raises:
        UserError: see :func:`read_config`.
    """
    config = read_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs', Path(args.config).stem))
    return config


# What must be in the data_root of MMPretrain's data sets of images in a few files.
CIFAR_FILES = dict(
    CIFAR10=['cifar-10-batches-py/data_batch_1', 'cifar-10-batches-py/test_batch'],
    CIFAR100=['cifar-100-python/train', 'cifar-100-python/test'],
)


def check_data(config: Config, *splits: str) -> None:
    """Raises a UserError for data folders that are not there, before any work."""
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        for split in splits:
            loader = config.get(f'{split}_dataloader') or {}
            if 'dataset' in loader:
                _check_dataset(loader.dataset, f'{split}_dataloader.dataset')


def _check_dataset(dataset: Config, key: str) -> None:
    """Checks the folders of a data set, and of those it wraps or joins."""
    if 'dataset' in dataset:
        _check_dataset(dataset.dataset, f'{key}.dataset')
    for number, part in enumerate(dataset.get('datasets', ())):
        _check_dataset(part, f'{key}.datasets.{number}')
    root = dataset.get('data_root') or ''
    if '://' in root:
        return
    mend = 'see data/README.md on placing it'
    if root and not Path(root).is_dir():
        raise UserError(
            f"{key}.data_root: '{root}' does not exist; {mend}, or give its place with "
            f'--cfg-options {key}.data_root=PATH'
        )
    if not dataset.get('download', True):
        for file in CIFAR_FILES.get(str(dataset.get('type')).rpartition('.')[2], ()):
            if not Path(root, file).is_file():
                raise UserError(f"{key}.data_root: '{root}' has no {file}; {mend}")
    prefixes = dataset.get('data_prefix') or {}
    for name, folder in prefixes.items() if isinstance(prefixes, dict) else ():
        if folder and '://' not in folder and not Path(root, folder).is_dir():
            raise UserError(
                f"{key}.data_prefix.{name}: '{Path(root, folder)}' does not exist; "
                f'{mend}'
            )
        if name == 'img_path' and folder and '://' not in folder:
            _check_images(dataset, Path(root, folder), key)


def _check_images(dataset: Config, folder: Path, key: str) -> None:
    """Checks that there is an image; MMSegmentation would fail at joining none."""
    suffixes = dataset.get('img_suffix') or _default_suffix(dataset.get('type'))
    suffixes = [suffixes] if isinstance(suffixes, str) else suffixes
    images = (file for suffix in suffixes for file in folder.rglob(f'*{suffix}'))
    if suffixes and next(images, None) is None:
        raise UserError(
            f"{key}.data_prefix.img_path: '{folder}' holds no image "
            f'(*{", *".join(suffixes)}); see data/README.md on placing them, or give '
            f'their suffix as {key}.img_suffix'
        )


def _default_suffix(kind: str | type | None) -> Sequence[str]:
    """How a data set's own image files end; () if it does not say."""
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    for owner in getattr(kind, '__mro__', ()):
        parameter = inspect.signature(owner.__init__).parameters.get('img_suffix')
        if parameter is not None:
            return parameter.default
    return ()


def resume_latest(config: Config, options: Mapping[str, object] | None) -> None:
    """Has a config go on from the last complete checkpoint, or else start.

    From the ``load_from`` of the command line, if there is one.
    """
    if not (options or {}).get('load_from'):
        latest = latest_checkpoint(config.work_dir)
        if latest is None:
            return
        if os.environ.get('RANK', '0') == '0':  # it may not have been noted
            Path(config.work_dir, 'last_checkpoint').write_text(str(latest))
        config.load_from = str(latest)
    config.resume = True


def enable_amp(config: Config) -> None:
    """Has a config train in automatic mixed precision: fp16, or bf16 on a CPU.

    Raises:
        UserError: with an optimiser wrapper of another kind.
    """
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'optim_wrapper.type: --amp goes with OptimWrapper, not {kind}')
    if get_device() == 'cpu':
        config.optim_wrapper.type = 'mmkd.CpuAmpOptimWrapper'
        for key in ('loss_scale', 'dtype'):
            config.optim_wrapper.pop(key, None)
        return
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if teacher := config.get('model', {}).get('teacher'):  # which autocast spares
        teacher.setdefault('precision', 'fp16')


def enable_visualization(
    config: Config, show: bool, show_dir: str | None, wait_time: float
) -> None:
    """Has the config's visualisation hook draw the test images.

    Raises:
        UserError: if the config has no such hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            'default_hooks.visualization: --show and --show-dir need one, such as '
            "dict(type='SegVisualizationHook')"
        )
    hook.update(draw=True, show=show, wait_time=wait_time)
    if show_dir is not None:
        config.visualizer.save_dir = show_dir


def enable_tta(config: Config) -> None:
    """Puts the config's test-time augmentation around model and test data.

    Raises:
        UserError: if the config describes none.
    """
    for key in ('tta_pipeline', 'tta_model'):
        if key not in config:
            raise UserError(f'{key}: --tta needs it, and the config has none')
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.tta_model.module = config.model
    config.model = config.tta_model
