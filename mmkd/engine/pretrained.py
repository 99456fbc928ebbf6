"""Check of the pretrained files that a network's initialization reads."""

from collections.abc import Iterator, Mapping

from mmkd.checkpoint import read_checkpoint
from mmkd.registry import type_name


def check_pretrained(model: Mapping) -> None:
    """Check that the files read by ``init_weights`` can be loaded as weights only.

    Args:
        model: Config of the model.

    Raises:
        UserError: if a file cannot be read safely; the message names the config key.
    """
    for key, path in find_pretrained(model, 'model'):
        read_checkpoint(path, key)


def find_pretrained(node: object, key: str) -> Iterator[tuple[str, str]]:
    """Yield the config keys that name pretrained files, with the files.

    Example:
        >>> backbone = dict(init_cfg=dict(type='Pretrained', checkpoint='a.pth'))
        >>> list(find_pretrained(dict(backbone=backbone), 'model'))
        [('model.backbone.init_cfg.checkpoint', 'a.pth')]
    """
    if isinstance(node, Mapping):
        file = 'pretrained'
        if type_name(node) in ('Pretrained', 'PretrainedInit'):
            file = 'checkpoint'
        if isinstance(node.get(file), str):
            yield f'{key}.{file}', node[file]
        for name, part in node.items():
            yield from find_pretrained(part, f'{key}.{name}')
    elif isinstance(node, list | tuple):
        for number, part in enumerate(node):
            yield from find_pretrained(part, f'{key}.{number}')
