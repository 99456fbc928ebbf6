"""Which key of the config an error of MMEngine's is about."""

import inspect
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

from mmengine.config import Config

from mmkd.errors import UserError

# What Python says of an argument, and a registry of a type.
UNKNOWN = r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'"
UNREGISTERED = r'(\S+) is not in the \S+ registry'


@contextmanager
def naming_keys(config: Config) -> Iterator[None]:
    """Has an unknown key or type of a config be an error that names it.

    Args:
        config: Where it is looked up; an error about nothing in it stays as it is.
    """
    try:
        yield
    except (TypeError, KeyError) as error:
        message = str(error.args[0]) if error.args else ''
        parts = list(items(config.to_dict()))
        if found := re.match(UNKNOWN, message):
            owner, name = found.groups()
            keys = [key for key, _ in parts if key.split('.')[-1] == name]
            what = f'unknown key of {owner}'
        elif found := re.match(UNREGISTERED, message):
            name = found[1]
            keys = [
                key
                for key, value in parts
                if value == name and key.split('.')[-1] == 'type'
            ]
            what = f"unknown type '{name}'; is custom_imports missing a module?"
        else:
            keys = []
        if not keys or not _is_being_built(error):
            raise
        like = get_close_matches(name, _arguments(error), n=1)
        mend = f'; did you mean {like[0]}?' if like else ''
        raise UserError(f'{" or ".join(keys)}: {what}{mend}') from error


def items(node: object, key: str = '') -> Iterator[tuple[str, object]]:
    """Every dotted key of a config, and what is there.

    Example:
        >>> list(items(dict(a=[dict(b=1)])))
        [('a', [{'b': 1}]), ('a.0', {'b': 1}), ('a.0.b', 1)]
    """
    parts = ()
    if isinstance(node, Mapping):
        parts = node.items()
    elif isinstance(node, list | tuple):
        parts = enumerate(node)
    for name, part in parts:
        place = f'{key}.{name}' if key else str(name)
        yield place, part
        yield from items(part, place)


def _is_being_built(error: Exception) -> bool:
    """Whether it came from a config being built: an error amid a run is a bug."""
    calls = traceback.extract_tb(error.__traceback__)
    return any(call.name.startswith('build') for call in calls)


def _arguments(error: Exception) -> set[str]:
    """What the classes that MMEngine was building when it failed do take."""
    names = set()
    for frame, _ in traceback.walk_tb(error.__traceback__):
        kind = frame.f_locals.get('obj_cls')
        for owner in getattr(kind, '__mro__', ()):
            names |= set(inspect.signature(owner.__init__).parameters)
    return names
