"""Child registries of MMEngine's, scope ``mmkd``.

A child is filled by importing its ``locations`` when something is first looked up in
it, so opening the scope costs nothing.
"""

import functools
from difflib import get_close_matches

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
    'model', parent=MMENGINE_MODELS, scope='mmkd', locations=['mmkd.models']
)
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope='mmkd', locations=['mmkd.datasets']
)
FUNCTIONS = Registry(
    'function', parent=MMENGINE_FUNCTIONS, scope='mmkd', locations=['mmkd.datasets']
)
HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, scope='mmkd', locations=['mmkd.engine.hooks']
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

# MMEngine's table of packages whose configs may be bases is closed; without this
# line `_base_ = 'mmkd::...'` is refused.
MODULE2PACKAGE['mmkd'] = 'mmkd'


def let_configs_keep_their_scope() -> None:
    """Has a config with ``_base_ = 'mmkd::...'`` mean what its base means.

    MMEngine would mark every part of such a base as of scope mmkd, where mmseg's
    EncoderDecoder is not known. mmkd's configs need no mark: they name their
    ``default_scope`` and write ``mmkd.`` before what is mmkd's.
    """
    find = Config._get_cfg_path
    if hasattr(find, '__wrapped__'):
        return

    @functools.wraps(find)
    def get_cfg_path(path: str, filename: str) -> tuple[str, str | None]:
        path, scope = find(path, filename)
        return path, None if scope == 'mmkd' else scope

    Config._get_cfg_path = staticmethod(get_cfg_path)


let_configs_keep_their_scope()


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
