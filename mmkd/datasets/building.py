"""The data set that a config describes."""

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmkd.engine.run_config import check_data
from mmkd.errors import UserError
from mmkd.registry import DATASETS

from .checked import CheckedDataset


def build_dataset(config: Config, split: str = 'test') -> CheckedDataset:
    """Builds the data set of a config's ``<split>_dataloader``.

    Args:
        config: Of a run.
        split: ``'train'``, ``'val'`` or ``'test'``, the default.

    Raises:
        UserError: if there is none, or its folders are not there; a sample that cannot
            be made names its files.

    Example:
        >>> config = Config.fromfile(CONFIG)  # doctest: +SKIP
        >>> sample = build_dataset(config, 'val')[0]  # doctest: +SKIP
    """
    key = f'{split}_dataloader'
    if 'dataset' not in (config.get(key) or {}):
        raise UserError(f'{key}: the config describes no such data')
    check_data(config, split)
    scope = config.get('default_scope', 'mmseg')
    with DefaultScope.overwrite_default_scope(scope):
        return CheckedDataset(DATASETS.build(config[key].dataset))
