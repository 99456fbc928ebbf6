"""Print what importing all of mmkd changes in other packages; nothing is expected."""

import io
import os
import pkgutil
import sys
import warnings
from contextlib import nullcontext, redirect_stdout, suppress
from importlib import import_module

warnings.simplefilter('ignore')
OTHERS = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'torch')


def import_all(package):
    """Import the modules of a package, but those with an optional dependency."""
    package = import_module(package)
    found = pkgutil.walk_packages(
        package.__path__, f'{package.__name__}.', onerror=lambda name: None
    )
    names = [each.name for each in found if not each.name.endswith('__main__')]
    for name in names:
        optional = package.__name__ != 'mmkd' or '.triton_' in name
        with suppress(Exception) if optional else nullcontext():
            import_module(name)
    return names


with redirect_stdout(io.StringIO()):
    for package in OTHERS[:-1]:
        import_all(package)

from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import Registry  # noqa: E402
from torch.serialization import get_safe_globals  # noqa: E402


def is_theirs(name):
    return str(name).partition('.')[0] in OTHERS


def entries(owner, value):
    """Return a container's contents, by identity; torch fills its own any time."""
    if owner.startswith('torch'):
        return None
    if isinstance(value, dict):
        return {key: id(entry) for key, entry in list(value.items())}
    return [id(entry) for entry in value] if isinstance(value, list | set) else None


def snapshot():
    """Attributes of the others' modules and classes, and entries of registries."""
    owners = {n: m for n, m in list(sys.modules.items()) if is_theirs(n) and m}
    registries = {}
    for module in list(owners.values()):
        for value in list(vars(module).values()):
            if isinstance(value, type) and is_theirs(value.__module__):
                owners[f'{value.__module__}.{value.__qualname__}'] = value
            if isinstance(value, Registry):
                registries[f'{value.scope}::{value.name}'] = value
    attributes = {
        (owner, name): (value, entries(owner, value))
        for owner, attributes in owners.items()
        for name, value in list(vars(attributes).items())
    }
    registered = {
        (registry, name): (value, None)
        for registry, owner in registries.items()
        for kinds in (owner.module_dict, owner.children)
        for name, value in kinds.items()
    }
    process = {
        ('process', 'environment'): (None, dict(os.environ)),
        ('process', 'safe globals'): (None, get_safe_globals()),
    }
    return {**attributes, **registered, **process}


def main():
    MMLogger.get_current_instance()  # which any lookup in a registry may create
    before = snapshot()
    modules = import_all('mmkd')
    # A registry imports its locations when something is first looked up in it.
    from mmkd import registry

    for each in vars(registry).values():
        if isinstance(each, Registry) and each.scope == 'mmkd':
            each.import_from_location()
    after = snapshot()
    owners = {owner for owner, _ in before}
    for place, (value, content) in after.items():
        owner, name = place
        if place in before:
            changed = before[place][0] is not value or before[place][1] != content
        else:
            submodule = sys.modules.get(f'{owner}.{name}', before)
            changed = owner in owners and submodule is not value and name != 'mmkd'
        if changed:
            print(*place)
    for place in before.keys() - after.keys():
        print(*place, 'is gone')
    print(f'imported {len(modules)} modules')


if __name__ == '__main__':
    main()
