"""Check of a dataset's folders before it is built."""

import inspect
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import DATASETS

from mmkd.errors import UserError
from mmkd.registry import type_name

HELP = 'see data/README.md for the expected layout'
# Files that MMPretrain's datasets of images in a few files need in their data_root.
CIFAR_FILES = dict(
    CIFAR10=['cifar-10-batches-py/data_batch_1', 'cifar-10-batches-py/test_batch'],
    CIFAR100=['cifar-100-python/train', 'cifar-100-python/test'],
)


def check_folders(dataset: dict, key: str) -> None:
    """Check the folders of a dataset, and of those that it wraps or joins.

    Args:
        dataset: Config of the dataset. Remote folders (a URL, or ``backend_args``) are
            not checked.
        key: Config key of the dataset, for the errors.

    Raises:
        UserError: if a folder does not exist or holds no image.
    """
    if 'dataset' in dataset:
        check_folders(dataset['dataset'], f'{key}.dataset')
    for number, part in enumerate(dataset.get('datasets', ())):
        check_folders(part, f'{key}.datasets.{number}')
    root = dataset.get('data_root') or ''
    if '://' in root or dataset.get('backend_args'):
        return
    if root and not Path(root).is_dir():
        raise UserError(
            f"{key}.data_root: '{root}' does not exist; {HELP}, or set it with "
            f'--cfg-options {key}.data_root=PATH'
        )
    if not dataset.get('download', True):
        for file in CIFAR_FILES.get(type_name(dataset), ()):
            if not Path(root, file).is_file():
                raise UserError(f"{key}.data_root: '{root}' has no {file}; {HELP}")
    prefixes = dataset.get('data_prefix') or {}
    for name, folder in prefixes.items() if isinstance(prefixes, dict) else ():
        if not folder or '://' in folder:
            continue
        path = Path(root, folder)
        if not path.is_dir():
            raise UserError(
                f"{key}.data_prefix.{name}: '{path}' does not exist; {HELP}"
            )
        if name == 'img_path':
            _check_images(dataset, path, key)


def _check_images(dataset: dict, folder: Path, key: str) -> None:
    """Check that there is an image; MMSegmentation fails with an unclear error."""
    suffixes = dataset.get('img_suffix') or _default_suffix(dataset.get('type'))
    suffixes = [suffixes] if isinstance(suffixes, str) else suffixes
    images = (file for suffix in suffixes for file in folder.rglob(f'*{suffix}'))
    if suffixes and next(images, None) is None:
        raise UserError(
            f"{key}.data_prefix.img_path: '{folder}' contains no image "
            f'(*{", ".join(suffixes)}); {HELP}, or set the suffix with '
            f'{key}.img_suffix'
        )


def _default_suffix(kind: str | type | None) -> Sequence[str]:
    """Return the default image suffix of a dataset class; () if it has none."""
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    for owner in getattr(kind, '__mro__', ()):
        parameter = inspect.signature(owner.__init__).parameters.get('img_suffix')
        if parameter is not None:
            return parameter.default
    return ()
