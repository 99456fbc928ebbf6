"""Child registries of MMEngine's, scope ``mmkd``.

A child is filled by importing its ``locations`` when something is first looked up in
it, so opening the scope costs nothing.
"""

import functools
from difflib import get_close_matches
from pathlib import Path

from .errors import needs_openmmlab

with needs_openmmlab():
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.registry import DATASETS as MMENGINE_DATASETS
    from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
    from mmengine.registry import HOOKS as MMENGINE_HOOKS
    from mmengine.registry import METRICS as MMENGINE_METRICS
    from mmengine.registry import MODELS as MMENGINE_MODELS
    from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
    from mmengine.registry import Registry

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmkd',
    locations=['mmkd.losses', 'mmkd.models', 'mmkd.distillation'],
)
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope='mmkd', locations=['mmkd.datasets']
)
FUNCTIONS = Registry(
    'function', parent=MMENGINE_FUNCTIONS, scope='mmkd', locations=['mmkd.datasets']
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='mmkd',
    locations=['mmkd.engine.hooks', 'mmkd.distillation'],
)
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, scope='mmkd', locations=['mmkd.evaluation']
)

OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='mmkd',
    locations=['mmkd.engine.cpu_amp'],
)

# MMEngine's table of packages whose configs mmengine.hub finds is closed.
MODULE2PACKAGE['mmkd'] = 'mmkd'
CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def find_own_configs() -> None:
    """Has a config with ``_base_ = 'mmkd::...'`` find its base, and mean what it means.

    MMEngine looks in site-packages, where an editable install has nothing, and marks
    every part of such a base as of scope mmkd, where mmseg's EncoderDecoder is not
    known. mmkd's configs need no mark: they name their ``default_scope`` and write
    ``mmkd.`` before what is mmkd's.
    """
    find = Config._get_cfg_path
    if hasattr(find, '__wrapped__'):
        return

    @functools.wraps(find)
    def get_cfg_path(path: str, filename: str) -> tuple[str, str | None]:
        package, _, config = path.partition('::')
        if package != 'mmkd':
            return find(path, filename)
        if not (CONFIGS / config).is_file():
            raise FileNotFoundError(f"'{path}': mmkd has no config '{config}'")
        return str(CONFIGS / config), None

    Config._get_cfg_path = staticmethod(get_cfg_path)


find_own_configs()


def qualified(config: dict) -> dict:
    """Copies a config whose bare ``type`` names something of mmkd's as ``mmkd.<type>``.

    A bare name is looked up in the default scope (mmseg, say), not in the registry that
    is asked.

    Raises:
        KeyError: if mmkd has no such type; names those most like it.

    Example:
        >>> qualified(dict(type='KDLoss', tau=2.0))
        {'type': 'mmkd.KDLoss', 'tau': 2.0}
    """
    name = config.get('type')
    if not isinstance(name, str) or '.' in name:
        return dict(config)
    if MODELS.get(f'mmkd.{name}') is None:
        known = sorted(MODELS.module_dict)
        like = get_close_matches(name, known, n=3, cutoff=0.4) or known
        raise KeyError(f"unknown type '{name}': did you mean {' or '.join(like)}?")
    return {**config, 'type': f'mmkd.{name}'}
