"""Construction of a config's dataset without a Runner."""

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmkd.errors import UserError
from mmkd.evaluation.ignore_index import ignored_by
from mmkd.registry import DATASETS

from .check_folders import check_listing, naming_folders
from .checked_dataset import CheckedDataset


def build_dataset(config: Config, split: str = 'test') -> CheckedDataset:
    """Build the dataset of a config's ``<split>_dataloader``.

    The metrics of ``<split>_evaluator`` give the label of ignored pixels.

    Args:
        config: Config of a training or test.
        split: ``'train'``, ``'val'`` or ``'test'``, the default.

    Raises:
        UserError: if the config has no such dataset or its folders do not exist. The
            dataset raises it for a sample that cannot be loaded, naming the files.

    Example:
        >>> config = Config.fromfile(CONFIG)  # doctest: +SKIP
        >>> sample = build_dataset(config, 'val')[0]  # doctest: +SKIP
    """
    loader = config.get(f'{split}_dataloader') or {}
    key = f'{split}_dataloader.dataset'
    if 'dataset' not in loader:
        raise UserError(
            f'{split}_dataloader: missing in the config; add it, or use another config'
        )
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmseg')):
        with naming_folders(loader['dataset'], key):
            dataset = DATASETS.build(loader['dataset'])
            check_listing(dataset, key)
        return CheckedDataset(
            dataset,
            ignore_index=ignored_by(config.get(f'{split}_evaluator')),
            evaluated=split != 'train',
            key=key,
        )
