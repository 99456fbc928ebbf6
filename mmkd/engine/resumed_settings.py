"""Differences between the config of a resumed run and that of its checkpoint."""

import re
from collections.abc import Iterable, Iterator, Mapping

from .recorded_config import parse_recorded

# Settings that are restored from the checkpoint, including those of parameter groups
# and of several optimizers.
RESTORED = re.compile(
    r'optim_wrapper\.(\w+\.)?(optimizer|paramwise_cfg)\.'
    r'|param_scheduler\.|randomness\.seed$'
)
# Settings that do not affect the training.
WITHOUT_EFFECT = ('resume', 'load_from', 'work_dir', 'launcher', 'log_level')
LIMIT = 20  # largest number of lines


def changed_settings(before: str, now: str) -> list[str]:
    """Describe changed settings, and which of the two values a resumed run uses.

    Args:
        before: Text of the config in the checkpoint.
        now: Text of the config of the resumed run.

    Returns:
        One line for each changed setting.

    Example:
        >>> changed_settings('max_iters = 2', 'max_iters = 4')
        ["max_iters: 2 in the checkpoint, 4 in the config; the config's is used"]
    """
    try:
        old, new = (dict(_leaves(parse_recorded(text))) for text in (before, now))
    except ValueError as error:
        return [f'the config in the checkpoint cannot be compared: {error}']
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        if key.split('.')[0] in WITHOUT_EFFECT:
            continue
        values = [repr(tree[key]) if key in tree else 'nothing' for tree in (old, new)]
        if values[0] != values[1]:
            owner = '.'.join(key.split('.')[:2])  # one scheduler: of both or of one
            both = all(f'{owner}.type' in tree for tree in (old, new))
            restored = bool(RESTORED.match(key)) and not key.endswith('.type')
            restored &= both or not key.startswith('param_scheduler.')
            used = 'checkpoint' if restored else 'config'
            lines.append(
                f'{key}: {values[0]} in the checkpoint, {values[1]} in the config; the '
                f"{used}'s is used"
            )
    if len(lines) > LIMIT:
        lines[LIMIT:] = [f'and {len(lines) - LIMIT} more']
    return lines


def _leaves(node: object, prefix: str = '') -> Iterator[tuple[str, object]]:
    """Yield the keys and values of a nested config."""
    if isinstance(node, Mapping):
        pairs: Iterable = node.items()
    elif isinstance(node, list | tuple) and any(isinstance(x, Mapping) for x in node):
        pairs = enumerate(node)
    else:
        yield prefix, node
        return
    for key, value in pairs:
        yield from _leaves(value, f'{prefix}.{key}' if prefix else str(key))
