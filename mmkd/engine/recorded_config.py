"""Reading of configs recorded by MMEngine as data, without executing code."""

import ast
from pathlib import Path

from mmengine.config import Config

from mmkd.errors import UserError

NAMES = {'inf': float('inf'), 'nan': float('nan')}  # as written by repr
# Types of the keys that the tools read.
STRUCTURE = {
    **dict.fromkeys(('model', 'model.backbone', 'train_cfg', 'randomness'), dict),
    **dict.fromkeys(('teacher', 'teacher.model', 'distill_losses'), dict),
    **dict.fromkeys(('train_dataloader', 'train_dataloader.dataset'), dict),
    'val_dataloader': dict,
    **dict.fromkeys(('optim_wrapper', 'model.data_preprocessor'), dict),
    'auto_scale_lr': dict,
    **dict.fromkeys(('train_cfg.max_iters', 'train_cfg.max_epochs'), int),
    'randomness.seed': int,
    **dict.fromkeys(('teacher.config', 'teacher.checkpoint', 'default_scope'), str),
}


def read_recorded(path: Path) -> Config:
    """Read a config dumped by MMEngine, such as ``vis_data/config.py`` of a run.

    Raises:
        UserError: if it cannot be read or is invalid; see :func:`recorded_config`.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
    except (OSError, ValueError) as error:
        raise UserError(f"config: '{path}' cannot be read: {error}") from error
    return recorded_config(text, str(path))


def recorded_config(text: str, name: str) -> Config:
    """Parse the text of a dumped config.

    Raises:
        UserError: if it contains anything but assignments of literals, has no model, or
            has a value of an unexpected type.
    """
    try:
        config = Config(parse_recorded(text), cfg_text=text, filename=name)
    except (ValueError, TypeError, KeyError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(
            f"config: '{name}' is not a recorded config: {reason}; use the config.py "
            "in the run's vis_data folder"
        ) from error
    if 'model' not in config:
        raise UserError(
            f"model: missing in '{name}'; use the config.py in the run's vis_data "
            'folder'
        )
    for key, kind in (STRUCTURE | _of_named_teachers(config)).items():
        found = config
        for part in key.split('.'):
            found = found.get(part) if found else None
        if found is not None and not isinstance(found, kind):
            what = type(found).__name__
            raise UserError(
                f"{key}: '{name}' has a {what} there instead of a {kind.__name__}; "
                'was it edited?'
            )
    return config


def _of_named_teachers(config: Config) -> dict[str, type]:
    """Return the types of the keys of several teachers by name."""
    kinds = dict(model=dict, config=str, checkpoint=str)
    teachers = config.get('teacher')
    if not isinstance(teachers, dict) or set(teachers) & set(kinds):
        return {}
    named = [name for name, value in teachers.items() if isinstance(value, dict)]
    return {f'teacher.{n}.{key}': kind for n in named for key, kind in kinds.items()}


def parse_recorded(text: str) -> dict[str, object]:
    """Parse a dumped config: assignments of literals and ``dict(...)``.

    Raises:
        ValueError: for any other code.

    Example:
        >>> parse_recorded('model = dict(type="A", sizes=[1, -2])')
        {'model': {'type': 'A', 'sizes': [1, -2]}}
    """
    try:
        return dict(map(_assignment, ast.parse(text).body))
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f'{type(error).__name__}: {error}') from error


def _assignment(node: ast.stmt) -> tuple[str, object]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, _value(value)
    raise _not_a_literal(node)


def _value(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs if key}
        case ast.Call(func=ast.Name(id='dict'), args=[ast.Dict() as arg], keywords=[]):
            return _value(arg)
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=named) if all(
            each.arg for each in named
        ):
            return {each.arg: _value(each.value) for each in named}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _value(operand)
            if isinstance(number, int | float):
                return -number
        case ast.Name(id=name) if name in NAMES:
            return NAMES[name]
        case ast.Name() | ast.Attribute():  # a class: keep its name
            return ast.unparse(node)
    raise _not_a_literal(node)


def _not_a_literal(node: ast.expr | ast.stmt) -> ValueError:
    code = ' '.join(ast.unparse(node).split())
    if len(code) > 60:
        code = f'{code[:60]}...'
    return ValueError(
        f"line {node.lineno} contains code, '{code}', which is not executed"
    )
