"""Check that a run's config builds only registered classes.

MMEngine imports and calls anything that a config names as ``type``, including
``subprocess.Popen``. Reports build networks and datasets from the configs of runs,
which may be untrusted.
"""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module

from mmengine.registry import Registry

from mmkd.engine.config_errors import walk
from mmkd.errors import UserError
from mmkd.models.import_module import builds_network, runs_remote_code

# Registries of the parts of networks and datasets.
KINDS = (
    *('MODELS', 'DATASETS', 'TRANSFORMS', 'TASK_UTILS', 'WEIGHT_INITIALIZERS'),
    *('FUNCTIONS', 'BATCH_AUGMENTS'),
)
PACKAGES = ('mmengine', 'mmseg', 'mmpretrain', 'mmkd')


def check_registered(config: Mapping) -> None:
    """Raise a UserError if a ``type`` in a config is not the name of a known class.

    Nor may it allow code of other files.

    Known classes are those registered by installed packages or by modules that the user
    has imported, and networks of these modules. No other module is imported.
    """
    registries = list(_registries())
    names = {name for registry in registries for name in registry.module_dict}
    classes = {kind for each in registries for kind in each.module_dict.values()}
    scopes = {registry.scope for registry in registries}
    for key, value in walk(config):
        allows = key.rpartition('.')[2] == 'allow_code' and value
        if allows or runs_remote_code(key, value):
            raise UserError(f'{key}: a report executes no code of a run')
        if key.rpartition('.')[2] != 'type':
            continue
        prefix, _, name = str(value).rpartition('.')
        known = name in names and prefix in ('', *scopes)
        found = getattr(sys.modules.get(prefix), name, None)
        imported = callable(found) and (found in classes or builds_network(found))
        if isinstance(value, str) and (known or imported):
            continue
        raise UserError(
            f"{key}: '{value}' is not a registered class and is not imported for a "
            'report; if it is your own, name its module with --import'
        )


def _registries() -> Iterator[Registry]:
    """Yield these registries of OpenMMLab's packages and mmkd."""
    for package in PACKAGES:
        try:
            module = import_module(f'{package}.registry')
        except ImportError:  # not installed
            continue
        for kind in KINDS:
            registry = getattr(module, kind, None)
            if registry is not None:  # an empty registry is falsy
                registry.import_from_location()
                yield registry
