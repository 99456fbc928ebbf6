"""Settings that a resumed run has otherwise than its checkpoint."""

import re
from collections.abc import Iterator, Mapping

from .recorded_config import parse_recorded

# Their values are in the checkpoint, which the resumed run continues with; an
# optimizer's with those of its parameter groups, also where there are several.
RESTORED = re.compile(
    r'optim_wrapper\.(\w+\.)?(optimizer|paramwise_cfg)\.'
    r'|param_scheduler\.|randomness\.seed$'
)
# They do not change what is trained.
WITHOUT_EFFECT = ('resume', 'load_from', 'work_dir', 'launcher', 'log_level')
LIMIT = 20  # lines


def changed_settings(before: str, now: str) -> list[str]:
    """Compare two dumped configs, and say which of two values a resumed run uses.

    Args:
        before: Config that the checkpoint holds.
        now: Config of the resumed run.

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
            restored = RESTORED.match(key) and not key.endswith('.type')
            used = 'checkpoint' if restored else 'config'
            lines.append(
                f'{key}: {values[0]} in the checkpoint, {values[1]} in the config; the '
                f"{used}'s is used"
            )
    if len(lines) > LIMIT:
        lines[LIMIT:] = [f'and {len(lines) - LIMIT} more']
    return lines


def _leaves(node: object, prefix: str = '') -> Iterator[tuple[str, object]]:
    """Yield the values of a nested config with their keys."""
    if isinstance(node, Mapping):
        pairs = node.items()
    elif isinstance(node, list | tuple) and any(isinstance(x, Mapping) for x in node):
        pairs = enumerate(node)
    else:
        yield prefix, node
        return
    for key, value in pairs:
        yield from _leaves(value, f'{prefix}.{key}' if prefix else str(key))
