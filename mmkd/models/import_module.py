"""Networks of other libraries, built from an import path and arguments."""

import inspect
import os
import sys
import typing
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from mmkd.checkpoint import weights_only_by_default
from mmkd.errors import UserError

# Arguments by which libraries choose pretrained weights, some of them by default.
PRETRAINED = (
    *('pretrained', 'pretrained_backbone', 'use_pretrained_backbone'),
    *('weights', 'weights_backbone', 'encoder_weights'),
)
# Arguments by which Transformers executes code of the internet.
REMOTE = ('trust_remote_code', 'use_kernels', 'allow_all_kernels')
# Class methods that build a network.
BUILDERS = ('from_config', 'from_pretrained')


def build_module(config: Mapping, key: str, allow_code: bool = False) -> nn.Module:
    """Build a network from ``type``, an import path, and its arguments.

    Arguments that are dicts with a ``type``, such as a config of Transformers, are
    built too. Weights are downloaded only if the config names them.

    Args:
        config: The import path of a class or function, and its arguments.
        key: Config key, for error messages.
        allow_code: Also call what may execute code of a file or of the internet, such
            as ``torch.hub.load``. Default False.

    Raises:
        UserError: if the import fails, the object does not build a network, or its
            arguments are invalid; the message names the key.

    Example:
        >>> build_module(dict(type='torch.nn.Conv2d', in_channels=3, out_channels=2,
        ...                   kernel_size=1), 'model.module')
        Conv2d(3, 2, kernel_size=(1, 1), stride=(1, 1))
    """
    module = _build(config, key, allow_code)
    if not isinstance(module, nn.Module):
        raise UserError(
            f"{key}.type: '{config['type']}' returns a {type(module).__name__}, not a "
            'torch.nn.Module; name a class or function that builds one'
        )
    return module


def _build(config: Mapping, key: str, allow_code: bool) -> object:
    path = config.get('type')
    kind: Any = path
    if isinstance(path, str) and all(map(str.isidentifier, path.split('.'))):
        kind = import_object(path, f'{key}.type')
    elif not isinstance(path, type):
        raise UserError(
            f'{key}.type: it must be an import path such as '
            f"'torchvision.models.segmentation.deeplabv3_resnet50', not {path!r}"
        )
    if not allow_code:
        check_safe(kind, f"{key}.type: '{path}'")
    arguments = {
        str(name): _value(value, f'{key}.{name}', allow_code)
        for name, value in config.items()
        if name != 'type'
    }
    for name, default in without_downloads(kind).items():
        arguments.setdefault(name, default)
    try:
        if allow_code:
            return kind(**arguments)
        with weights_only_by_default():
            return kind(**arguments)
    except Exception as error:  # of any library
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(
            f"{key}: '{path}' cannot be built ({reason}); check its arguments"
        ) from error


def _value(value: object, key: str, allow_code: bool) -> object:
    """Convert a config's value to plain Python, and build it if it has a type."""
    if runs_remote_code(key, value) and not allow_code:
        raise UserError(f'{key}: {_refusal(key)}')
    if isinstance(value, Mapping):
        if 'type' in value:
            return _build(value, key, allow_code)
        return {k: _value(v, f'{key}.{k}', allow_code) for k, v in value.items()}
    if isinstance(value, list | tuple):
        items = [_value(v, f'{key}.{i}', allow_code) for i, v in enumerate(value)]
        return type(value)(items)
    return value


def runs_remote_code(key: str, value: object) -> bool:
    """Return True if an argument makes Transformers execute code of the internet.

    Args:
        key: Config key of the argument.
        value: Its value. An implementation of attention with a slash is a repository.

    Example:
        >>> runs_remote_code('model.attn_implementation', 'sdpa')
        False
    """
    *_, name = parts = key.split('.')
    attention = any(part.endswith('attn_implementation') for part in parts)
    return (name in REMOTE and bool(value)) or (attention and '/' in str(value))


def import_object(path: str, key: str) -> object:
    """Import an object by its path, also from the working directory.

    A package that is not installed is looked up in the working directory, as by
    ``python -m``.

    Raises:
        UserError: if the import fails; the message names the key, reason and fix.
    """
    package, *names = path.split('.')
    if package not in sys.modules and find_spec(package) is None:
        sys.path.append(os.getcwd())
        if find_spec(package) is None:
            sys.path.pop()
            raise UserError(
                f"{key}: '{path}' cannot be imported, as there is no package "
                f"'{package}'; install it, or name its folder with PYTHONPATH=FOLDER"
            )
    try:
        found: Any = import_module(package)
        place = package
        for name in names:
            place = f'{place}.{name}'
            if not hasattr(found, name):
                if not hasattr(found, '__path__') or find_spec(place) is None:
                    near = get_close_matches(name, dir(found), n=1)
                    hint = f'did you mean {near[0]}?' if near else 'check the path'
                    owner = place.rpartition('.')[0]
                    raise UserError(
                        f"{key}: '{path}' cannot be imported, as {owner} has no "
                        f"'{name}'; {hint}"
                    )
                import_module(place)
            found = getattr(found, name)
    except UserError:
        raise
    except Exception as error:  # a module is code and can raise any exception
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(
            f"{key}: '{path}' cannot be imported ({reason}); install what is missing, "
            'or name its folder with PYTHONPATH=FOLDER'
        ) from error
    return found


def check_safe(kind: object, what: str) -> None:
    """Raise a UserError unless an object is known to build a network or its config.

    That is a class of networks or of configs of Transformers, its ``from_config`` or
    ``from_pretrained``, or a function annotated to return a network, but none of torch
    itself. In particular it is not ``torch.hub.load`` or ``os.system``.

    Args:
        kind: The object.
        what: Description of the object; the error message starts with it.
    """
    if not builds_network(kind):
        raise UserError(f'{what} {_refusal(what)}')


def _refusal(what: str) -> str:
    return (
        'is refused, as it could execute code of a file or of the internet: name a '
        'class derived from torch.nn.Module, or a function annotated to return one '
        '(-> torch.nn.Module); if you trust it, set allow_code=True in the model'
    )


def builds_network(kind: object) -> bool:
    """Return True for what :func:`check_safe` accepts."""
    if isinstance(kind, type):
        return issubclass(kind, (nn.Module, *_config_classes()))
    if inspect.ismethod(kind):
        owner = kind.__self__
        is_class = isinstance(owner, type) and builds_network(owner)
        return (is_class or _is_auto(owner)) and kind.__name__ in BUILDERS
    # Some functions of torch itself execute code, although they return a network.
    if not inspect.isfunction(kind) or kind.__module__.partition('.')[0] == 'torch':
        return False
    try:
        returned = typing.get_type_hints(kind).get('return')
    except Exception:  # an annotation that cannot be resolved
        return False
    return isinstance(returned, type) and issubclass(returned, nn.Module)


def _config_classes() -> tuple[type, ...]:
    """Return the base class of configs of Transformers, if it is in use."""
    configs = sys.modules.get('transformers.configuration_utils')
    found = getattr(configs, 'PretrainedConfig', None)
    return () if found is None else (found,)


def without_downloads(kind: Callable) -> dict[str, object]:
    """Return the arguments that keep a network from downloading weights by default."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # without a signature
        return {}
    found: dict[str, object] = {
        name: None
        for name in PRETRAINED
        if name in parameters and parameters[name].default not in (None, False)
    }
    if getattr(kind, '__name__', '') == 'from_pretrained':
        found['local_files_only'] = True
    if _is_auto(getattr(kind, '__self__', None)):  # would ask on the console
        found['trust_remote_code'] = False
    return found


def _is_auto(owner: object) -> bool:
    """Return True for a class of Transformers that chooses a network by its config."""
    auto = 'transformers.models.auto.modeling_auto'
    return isinstance(owner, type) and owner.__module__ == auto
