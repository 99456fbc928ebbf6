"""Config of one or several teachers: keys, and the networks' configs inlined."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmkd.engine.config import find_config, read_config
from mmkd.errors import UserError
from mmkd.models.import_module import PRETRAINED
from mmkd.registry import DATASETS, type_name

from .fast_path import FastPath
from .resolution import Resolution
from .teacher_program import as_exported, check_program_keys, is_program

KEY = 'teacher'
FAST = [field.name for field in fields(FastPath) if field.compare]
RESOLUTION = [field.name for field in fields(Resolution) if field.compare]
OPTIONS = ['class_map', 'prefix', 'reduce_zero_label', *RESOLUTION, *FAST]
KEYS = ['config', 'model', 'checkpoint', 'allow_code', *OPTIONS]
# Wrappers of other libraries' networks that can download pretrained weights.
WRAPPERS = ('TIMMBackbone', 'TimmClassifier', 'HuggingFaceClassifier')


def has_names(teacher: object) -> bool:
    """Return True for the config of several teachers by name, False for that of one.

    Example:
        >>> has_names(dict(config='a.py', checkpoint='a.pth'))
        False
        >>> has_names(dict(fine=dict(config='a.py', checkpoint='a.pth')))
        True
    """
    if not isinstance(teacher, Mapping) or set(teacher) & set(KEYS):
        return False
    values = [value for value in teacher.values() if value is not None]
    return bool(values) and all(isinstance(value, Mapping) for value in values)


def split_teachers(teacher: Any) -> dict[str, Any]:
    """Return the config of each teacher by its config key.

    A derived config removes a named teacher by None.

    Example:
        >>> split_teachers(dict(checkpoint='a.pth'))
        {'teacher': {'checkpoint': 'a.pth'}}
        >>> split_teachers(dict(fine=dict(checkpoint='a.pth'), coarse=None))
        {'teacher.fine': {'checkpoint': 'a.pth'}}
    """
    if not has_names(teacher):
        return {KEY: teacher}
    every = teacher.items()
    return {f'{KEY}.{name}': value for name, value in every if value is not None}


def inline_teacher(teacher: Mapping, folder: str | Path = '.') -> dict:
    """Replace the path ``config`` of one or several teachers by the ``model``.

    Args:
        teacher: Config of a teacher, see below, or of each of several by name.
        folder: Folder of the current config. Relative paths are looked up there, then
            in the working directory; in a config that others inherit, write
            ``'{{ fileDirname }}/...'``.

    Returns:
        Dict of ``model``, without pretrained weights, ``checkpoint`` and the options,
        or such a dict for each name.

    Raises:
        UserError: for missing, unknown or contradictory keys, or a missing config.

    The keys of a teacher are ``checkpoint``, either ``config``, the path of the
    network's config, or ``model``, the network's config itself, and optionally

    * ``class_map``: see :func:`match_classes`;
    * ``prefix``: that of the network's keys in the checkpoint;
    * ``reduce_zero_label``: the setting of the dataset that it was trained on, by
      default that of ``config`` or of the checkpoint;
    * ``allow_code``: execute the code of a network from elsewhere;
    * arguments of :class:`Resolution` and :class:`FastPath`.

    A :class:`TorchSegmentor` or :class:`TorchClassifier` without ``module`` is the
    program that ``checkpoint`` contains.
    """
    if not has_names(teacher):
        return _inline(teacher, folder, KEY)
    inlined = {}
    for key, each in split_teachers(teacher).items():
        name = key.removeprefix(f'{KEY}.')
        if '.' in name:
            raise UserError(f"{key}: a teacher's name cannot contain a dot; rename it")
        inlined[name] = _inline(each, folder, key)
    return inlined


def _inline(teacher: Mapping, folder: str | Path, key: str) -> dict:
    """Inline the config of one teacher, whose config key is ``key``."""
    if not isinstance(teacher, Mapping):
        raise UserError(
            f'{key}: it must be dict(config=..., checkpoint=...), not {teacher!r}'
        )
    unknown = set(teacher) - set(KEYS)
    named = [
        name
        for name in sorted(unknown)
        if isinstance(teacher[name], Mapping) and set(teacher[name]) & set(KEYS)
    ]
    if named:
        found = ', '.join(sorted(set(teacher) - unknown))
        raise UserError(
            f'{key}: keys of one teacher ({found}) beside the teacher {named[0]!r}; '
            'give each teacher a name that is not a key of a teacher, or one teacher '
            'no name'
        )
    if unknown:
        raise UserError(
            f'{key}: unknown key {", ".join(sorted(unknown))}; use only config (or '
            f'model), checkpoint, allow_code, {", ".join(OPTIONS)}'
        )
    if not teacher.get('checkpoint'):
        raise UserError(
            f'{key}.checkpoint: a teacher needs trained weights; give their path or URL'
        )
    if ('config' in teacher) == ('model' in teacher):
        raise UserError(f'{key}: give either config (a path) or model (a dict)')
    rest = {key: value for key, value in teacher.items() if key in OPTIONS}
    if not isinstance(rest.get('prefix', ''), str):
        raise UserError(
            f"{key}.prefix: it must be a string such as 'architecture.', not "
            f'{rest["prefix"]!r}'
        )
    if 'config' in teacher:
        config = read_config(_find_config(teacher['config'], folder, f'{key}.config'))
        model = _model_of(config)
        reduces = reduces_zero_label(config)
        if reduces is not None:
            rest.setdefault('reduce_zero_label', reduces)
    else:
        model = copy.deepcopy(dict(teacher['model']))
    if type_name(model) == 'DepthEstimator':  # before it asks for its packages
        raise UserError(
            f'{key}.model: a DepthEstimator outputs depths instead of scores of '
            'classes; use a segmentor or classifier'
        )
    class_map = teacher.get('class_map')
    if class_map is not None and not isinstance(class_map, Mapping):
        raise UserError(
            f"{key}.class_map: it must be a dict of the teacher's class, or classes, "
            f'of each of ours, not {class_map!r}'
        )
    Resolution(key=key, **{k: rest[k] for k in RESOLUTION if k in rest})
    check_program_keys(model, teacher, key)
    if teacher.get('allow_code'):
        model['allow_code'] = True
    if is_program(model):
        rest = as_exported(rest, key)
    beside = Path(folder, teacher['checkpoint'])
    checkpoint = str(beside) if beside.exists() else teacher['checkpoint']
    return {'model': without_pretraining(model), 'checkpoint': checkpoint, **rest}


def _find_config(path: str, folder: str | Path, key: str) -> Path:
    """Return the path of the teacher's config, which may be one of a package."""
    if '::' in path:
        try:
            return find_config(path)
        except UserError as error:
            raise UserError(f'{key}: {error}') from None
    for file in (Path(folder, path), Path(path)):
        if file.is_file():
            return file
    raise UserError(
        f"{key}: '{path}' exists neither in '{folder}' nor in the working "
        "directory; write '{{ fileDirname }}/...' for a path relative to the "
        'config file that contains it'
    )


def _model_of(config: Config) -> dict:
    """Return the model of a config, such that any default scope can build it."""
    model = config.model.to_dict()
    if 'data_preprocessor' in config:  # the Runner passes a top-level one
        model.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
    if config.get('default_scope'):
        model.setdefault('_scope_', config.default_scope)
    return model


def reduces_zero_label(config: Config) -> bool | None:
    """Return ``reduce_zero_label`` of a config's training dataset; None if unknown.

    Without that key it is the default of the dataset's class, which is True for
    ADE20K.
    """
    node = (config.get('train_dataloader') or {}).get('dataset')
    while isinstance(node, Mapping) and 'reduce_zero_label' not in node:
        inner = node.get('dataset') or node.get('datasets')  # of a wrapper
        if not inner:
            break
        node = inner[0] if isinstance(inner, list | tuple) else inner
    if not isinstance(node, Mapping):
        return None
    if 'reduce_zero_label' in node:
        return node['reduce_zero_label']
    kind = node.get('type')
    if isinstance(kind, str):
        scope = node.get('_scope_') or config.get('default_scope')
        with DATASETS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(kind)
    for parent in getattr(kind, '__mro__', ()):
        parameters = inspect.signature(parent.__init__).parameters
        if 'reduce_zero_label' in parameters:
            return parameters['reduce_zero_label'].default
    return None


def without_pretraining(node: Any, removed: tuple = ('pretrained', 'init_cfg')) -> Any:
    """Remove ``pretrained`` and ``init_cfg``, since the checkpoint overwrites them.

    So do the arguments of other libraries' networks that choose pretrained weights.
    Where removing the key would download weights by default, it is set to False.
    """
    if isinstance(node, Mapping):
        kept = {
            key: without_pretraining(value, PRETRAINED if key == 'module' else removed)
            for key, value in node.items()
            if key not in removed
        }
        if type_name(node) in WRAPPERS:
            kept['pretrained'] = False
            kept.pop('checkpoint_path', None)
        return kept
    if isinstance(node, (list, tuple)):
        return type(node)(without_pretraining(value, removed) for value in node)
    return node
