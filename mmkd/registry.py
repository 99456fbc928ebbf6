"""Registries with the scope ``mmkd``, children of MMEngine's registries.

MMEngine imports this module when it encounters ``type='mmkd.X'``, and a registry's
``locations`` when a class is first looked up in it.
"""

from collections.abc import Mapping
from difflib import get_close_matches

from .errors import needs_openmmlab

with needs_openmmlab():
    from mmengine.registry import DATASETS as MMENGINE_DATASETS
    from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
    from mmengine.registry import HOOKS as MMENGINE_HOOKS
    from mmengine.registry import METRICS as MMENGINE_METRICS
    from mmengine.registry import MODELS as MMENGINE_MODELS
    from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
    from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
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
    locations=['mmkd.engine.hooks', 'mmkd.distillation', 'mmkd.visualization'],
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
RUNNERS = Registry(
    'runner',
    parent=MMENGINE_RUNNERS,
    scope='mmkd',
    locations=['mmkd.engine.runner', 'mmkd.distillation.distill_runner'],
)


def is_type(config: object, kind: type, registry: Registry) -> bool:
    """Return True if a config's ``type`` is exactly ``kind``.

    The type may be written as a class, a registered name or a full import path.

    Args:
        config: A config, or any other value, for which the result is False.
        kind: The class; subclasses do not match.
        registry: MMEngine's registry of such classes.
    """
    found = config.get('type') if isinstance(config, Mapping) else None
    if isinstance(found, str):
        with registry.switch_scope_and_registry(None) as current:
            found = current.get(found)
    return found is kind


def type_name(config: Mapping) -> str:
    """Return the class name in a config's ``type``, written as a string or a class.

    Example:
        >>> type_name(dict(type='mmkd.KDLoss')), type_name(dict(type=dict))
        ('KDLoss', 'dict')
    """
    kind = config.get('type')
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition('.')[2]


def qualified(config: dict) -> dict:
    """Copy a config with an unqualified ``type`` replaced by ``mmkd.<type>``.

    MMEngine looks up an unqualified name in the default scope, such as mmseg, and not
    in the registry whose ``build`` is called.

    Raises:
        KeyError: if mmkd has no such type; the message suggests similar names.

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
