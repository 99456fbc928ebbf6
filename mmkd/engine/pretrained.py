"""The files that a network begins with."""

from collections.abc import Iterator, Mapping

from mmkd.checkpoint import read_checkpoint


def check_pretrained(model: Mapping) -> None:
    """Raises a UserError if a file that ``init_weights`` will read cannot be read.

    MMEngine would say so with a traceback that names no key.

    Args:
        model: The config of the model; a Distiller's teacher is checked elsewhere.
    """
    student = {key: value for key, value in model.items() if key != 'teacher'}
    for key, path in find_pretrained(student, 'model'):
        read_checkpoint(path, key)


def find_pretrained(node: object, key: str) -> Iterator[tuple[str, str]]:
    """The config keys that name such files, and the files.

    Example:
        >>> backbone = dict(init_cfg=dict(type='Pretrained', checkpoint='a.pth'))
        >>> list(find_pretrained(dict(backbone=backbone), 'model'))
        [('model.backbone.init_cfg.checkpoint', 'a.pth')]
    """
    if isinstance(node, Mapping):
        kind = str(node.get('type')).rpartition('.')[2]
        here = 'checkpoint' if kind == 'Pretrained' else 'pretrained'
        if isinstance(node.get(here), str):
            yield f'{key}.{here}', node[here]
        for name, part in node.items():
            yield from find_pretrained(part, f'{key}.{name}')
    elif isinstance(node, list | tuple):
        for number, part in enumerate(node):
            yield from find_pretrained(part, f'{key}.{number}')
