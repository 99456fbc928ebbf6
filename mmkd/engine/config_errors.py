"""Errors for unknown keys and types that name the config key."""

import inspect
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmkd.errors import UserError
from mmkd.registry import MODELS, type_name

# Messages of Python for an unknown argument, and of a registry for an unknown type.
UNKNOWN_ARGUMENT = r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'"
UNKNOWN_TYPE = r'(\S+) is not in the \S+ registry'


@contextmanager
def naming_keys(config: Config) -> Iterator[None]:
    """Convert errors about keys, types or missing packages of a config to UserErrors.

    Args:
        config: The config. Errors unrelated to it are raised unchanged.

    Raises:
        UserError: for an unknown key or type; the message names the key and, if there
            is one, a similar name. For a package that a part of the config requires;
            the message is that of the part.
    """
    try:
        yield
    except (TypeError, KeyError) as error:
        message = _explain(str(error.args[0]) if error.args else '', config)
        if not message or not _is_from_building(error):
            raise
        raise UserError(message) from error
    except (AssertionError, ImportError, RuntimeError) as error:
        message = ' '.join(str(error).split())
        missing = re.search('(?i)please .*install', message)
        if not missing or not _is_from_building(error):
            raise
        raise UserError(f'a part of the config needs a package: {message}') from error


def _explain(message: str, config: Config) -> str:
    """Describe which key is invalid; '' if the error is unrelated to the config."""
    entries = list(walk(config.to_dict()))
    if found := re.search(UNKNOWN_ARGUMENT, message):
        owner, name = found.groups()
        keys = [key for key, _ in entries if key.split('.')[-1] == name]
        nodes = dict(entries)
        parents = [nodes.get(key.rpartition('.')[0]) for key in keys]
        known = [(each, _arguments(each, owner, config)) for each in parents]
        owners = {
            type_name(e) for e, found in known if found and isinstance(e, Mapping)
        }
        what = f'unknown key of {" or ".join(sorted(owners)) or owner}'
        names = set().union(*(names for _, names in known))
        if near := get_close_matches(name, names, n=1):
            what += f'; did you mean {near[0]}?'
        elif names:
            what += f'; it has {", ".join(sorted(names))}'
    elif found := re.match(UNKNOWN_TYPE, message):
        name = found[1]
        keys = [
            key
            for key, value in entries
            if value == name and key.split('.')[-1] == 'type'
        ]
        what = f"unknown type '{name}'; is custom_imports missing a module?"
    else:
        keys = []
    return f'{" or ".join(keys)}: {what}' if keys else ''


def walk(node: object, key: str = '') -> Iterator[tuple[str, object]]:
    """Yield every dotted key of a config with its value.

    Example:
        >>> list(walk(dict(a=[dict(b=1)])))
        [('a', [{'b': 1}]), ('a.0', {'b': 1}), ('a.0.b', 1)]
    """
    parts: Iterable = ()
    if isinstance(node, Mapping):
        parts = node.items()
    elif isinstance(node, list | tuple):
        parts = enumerate(node)
    for name, part in parts:
        place = f'{key}.{name}' if key else str(name)
        yield place, part
        yield from walk(part, place)


def _arguments(node: object, owner: str, config: Config) -> set[str]:
    """Return the argument names of the class that a node of a config describes.

    ``owner`` is the class that refused an argument: that class itself, or a base class
    to which it passes its arguments.
    """
    kind = node.get('type') if isinstance(node, Mapping) else None
    registries = (
        x for x in vars(mmengine_registry).values() if isinstance(x, Registry)
    )
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        kinds: list[Any] = [kind] if isinstance(kind, type) else []
        if isinstance(kind, str):  # losses have no prefix in any default scope
            kinds.append(MODELS.module_dict.get(kind))
        for each in registries if isinstance(kind, str) else ():
            with each.switch_scope_and_registry(None) as registry:
                kinds.append(registry.get(kind))
    return {
        name
        for kind in kinds
        if owner in [parent.__name__ for parent in getattr(kind, '__mro__', ())]
        for parent in kind.__mro__
        for name in inspect.signature(parent.__init__).parameters
        if name not in ('self', 'args', 'kwargs')
    }


def _is_from_building(error: Exception) -> bool:
    """Return True for an error raised while building a config; others are bugs."""
    calls = traceback.extract_tb(error.__traceback__)
    return any(call.name.startswith('build') for call in calls)
