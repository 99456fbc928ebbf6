"""Safe loading of untrusted checkpoints: weights only, no code execution."""

import io
import os
import pickle
import pickletools
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine import fileio
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch.serialization import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
)

from .errors import UserError
from .safetensors_files import SINGLE, is_safetensors, read_safetensors

# URL schemes of published checkpoints; MMEngine resolves them.
PUBLISHED = ('open-mmlab', 'openmmlab', 'torchvision', 'mmcls')
# Largest accepted ratio of a zip file's unpacked size to its own size. torch.save
# writes files with a ratio of 1; a zip bomb, in which a few kilobytes unpack to fill
# the memory, is refused without unpacking it.
LARGEST_RATIO = 10
DAMAGED = 'is truncated or damaged: download or save it again'
# First bytes of files written by torch.save: current format, and before PyTorch 1.6.
ZIP = b'PK\x03\x04'
PICKLE = b'\x80\x02'
# Environment variables of torch that override every caller's weights_only argument.
# Users may have set the second for OpenMMLab's MMEngine, which cannot load its own
# checkpoints otherwise.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
OPPOSITE = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


def _harmless_types() -> list:
    """List the types other than weights that a Runner's checkpoint contains.

    Types are listed under their names in both NumPy 1 and NumPy 2. MMEngine's log
    history pickles references to ``getattr``; only public methods of the log history
    itself are allowed through it.
    """
    multiarray = (getattr(np, '_core', None) or np.core).multiarray
    numbers = '?' + np.typecodes['AllInteger'] + np.typecodes['AllFloat']
    return [
        HistoryBuffer,
        bytes,  # used by an empty history
        (_history_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in numbers},
        *(
            (getattr(multiarray, name), f'numpy.{core}.multiarray.{name}')
            for core in ('core', '_core')
            for name in ('_reconstruct', 'scalar')
        ),
    ]


def load_safely(file: Path | io.BytesIO, mmap: bool = False) -> object:
    """Unpickle only weights and harmless types, regardless of environment variables."""
    with weights_only_by_default():
        return torch.load(file, map_location='cpu', weights_only=True, mmap=mmap)


def check_saved(path: Path) -> None:
    """Check that a checkpoint written by this process can be loaded safely again.

    Raises:
        UserError: if an entry or the checksums would be refused; the message names
            the entry.
    """
    if problem_of_archive(path, path.stat().st_size):
        raise UserError(
            'the checkpoint would be refused on resume, as its checksums are wrong: '
            'remove any call of torch.serialization.set_crc32_options(False), which '
            'omits them; otherwise the disk is damaged'
        )
    try:
        load_safely(path, mmap=True)
    except pickle.UnpicklingError as error:
        own = torch.load(path, map_location='cpu', weights_only=False)
        entry, value = _first_refused(own)
        kind = f'{type(value).__module__}.{type(value).__qualname__}'
        raise UserError(
            f'{entry}: a {kind} in the checkpoint would be refused on resume, because '
            'only weights and plain values are loaded; change the hook or metric that '
            'stores it to store a string, a number, a list or a dict'
        ) from error


def _first_refused(node: object, key: str = '') -> tuple[str, object]:
    """Return the key and value of the innermost refused entry of a checkpoint."""
    parts: Iterable = node.items() if isinstance(node, Mapping) else ()
    if isinstance(node, list | tuple):
        parts = enumerate(node)
    for name, part in parts:
        buffer = io.BytesIO()
        torch.save(part, buffer)
        buffer.seek(0)
        try:
            load_safely(buffer)
        except pickle.UnpicklingError:
            return _first_refused(part, f'{key}.{name}' if key else str(name))
    return key, node


@contextmanager
def weights_only_by_default() -> Iterator[None]:
    """Make every call of ``torch.load`` within this context load weights only.

    Sets torch's environment variable, so that it also covers model code that loads
    files itself. Types that a caller has allowed stay allowed. OneDL's MMEngine allows
    ``getattr`` for local files: check those with :func:`read_checkpoint` first.
    """
    saved = {name: os.environ.pop(name, None) for name in (FORCE, OPPOSITE)}
    allowed = get_safe_globals()
    os.environ[FORCE] = '1'
    add_safe_globals(_harmless_types())
    try:
        yield
    finally:  # torch's safe_globals would also end an enclosing safe_globals
        clear_safe_globals()
        add_safe_globals(allowed)
        os.environ.pop(FORCE)
        os.environ.update({k: v for k, v in saved.items() if v is not None})


def _history_method(owner: object, name: str) -> object:
    """Restricted ``getattr`` for unpickling: only public methods of a log history."""
    if owner is not HistoryBuffer or str(name).startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} was refused')
    return getattr(owner, name)


def load_weights(
    path: str, key: str, entry: str = 'state_dict', prefix: str = ''
) -> tuple[dict[str, torch.Tensor], dict]:
    """Load the weights and the ``meta`` dict of a checkpoint without running code.

    Args:
        path: A file, a folder written by ``save_pretrained`` with safetensors, a URL or
            any path scheme that MMEngine supports. In distributed runs only rank 0
            downloads a URL.
        key: Config key that contains the path, for error messages.
        entry: Key of the state dict in the file. If the file has no such key, the whole
            file is taken as the state dict, or else the only state dict in it, as of
            ``{'model': net.state_dict(), 'epoch': 3}``; of several, names begin with
            the key, such as ``'model.'``, so that ``prefix`` chooses one.
        prefix: Load only the weights whose names begin with it, without it, such as
            ``'architecture.'`` for MMRazor's. Default: all.

    Returns:
        The state dict, without any ``module.`` prefix, and the ``meta`` dict.

    Raises:
        UserError: if the file is missing, truncated, not a checkpoint, or contains
            code.
    """
    state, meta = state_and_meta(read_checkpoint(path, key), path, key, entry)
    if not prefix:
        return state, meta
    start = f'{prefix.removesuffix(".")}.'
    chosen = {
        name.removeprefix(start): value
        for name, value in state.items()
        if name.startswith(start)
    }
    if not chosen:
        raise UserError(
            f"{key}: '{path}' has no weights with prefix '{start}', but "
            f'{", ".join(list(state)[:3])}, ...; correct the prefix'
        )
    return chosen, meta


def state_and_meta(
    checkpoint: object, path: str, key: str, entry: str = 'state_dict'
) -> tuple[dict[str, torch.Tensor], dict]:
    """Return the weights and ``meta`` of a loaded checkpoint.

    See :func:`load_weights` for the arguments and errors.
    """
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise UserError(
            f"{key}: '{path}' contains a {kind} instead of a state dict; {_fix(key)}"
        )
    state = checkpoint.get(entry, _unwrapped(checkpoint))
    state = dict(state) if isinstance(state, Mapping) else {}
    for name in (*checkpoint, *state):
        if not isinstance(name, str):
            raise UserError(
                f"{key}: '{path}' has the key {name!r}, which is not a string; "
                f'{_fix(key)}'
            )
    state = {
        name.removeprefix('module.'): value
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    if not state:
        found = ', '.join(map(str, list(checkpoint)[:5])) or 'nothing'
        raise UserError(
            f"{key}: '{path}' contains no weights (found: {found}); {_fix(key)}"
        )
    meta = checkpoint.get('meta') if entry in checkpoint else None
    if problem := _problem_of_meta(meta):
        raise UserError(f"{key}: '{path}' {problem}; {_fix(key)}")
    return state, meta or {}


def _unwrapped(checkpoint: dict) -> Mapping:
    """Return the only state dict in a checkpoint, or all with their keys as prefix.

    A checkpoint that contains none, or has weights itself, is returned as it is.
    """
    parts = {
        name: part
        for name, part in checkpoint.items()
        if isinstance(part, Mapping)
        and part
        and all(map(torch.is_tensor, part.values()))
    }
    if not parts or any(map(torch.is_tensor, checkpoint.values())):
        return checkpoint
    if len(parts) == 1:
        return next(iter(parts.values()))
    return {f'{name}.{key}': part[key] for name, part in parts.items() for key in part}


def _problem_of_meta(meta: object) -> str:
    """Describe what is invalid in a checkpoint's ``meta``; '' if it is valid."""
    if meta is None:
        return ''
    if not isinstance(meta, dict):
        return f'has a {type(meta).__name__} as meta instead of a dict'
    data = meta.get('dataset_meta')
    if data is not None and not isinstance(data, dict):
        return f'has a {type(data).__name__} as meta.dataset_meta instead of a dict'
    for name, kind, value in (
        ('epoch', int, meta.get('epoch')),
        ('iter', int, meta.get('iter')),
        ('CLASSES', list | tuple, meta.get('CLASSES')),
        ('dataset_meta.classes', list | tuple, (data or {}).get('classes')),
    ):
        if value is not None and not isinstance(value, kind):
            return f'has an invalid meta.{name} of type {type(value).__name__}'
    return ''


def read_checkpoint(path: str, key: str) -> Any:
    """Read a checkpoint with any content, without running code.

    See :func:`load_weights` for the arguments and errors.
    """
    if '://' in path:
        return _load_remote(path, key)
    return _load_local(Path(path).expanduser(), f"{key}: '{path}'", _fix(key))


def _fix(key: str) -> str:
    """Return the hint for replacing an invalid file."""
    if key == 'checkpoint':  # a command-line argument, not a config key
        return 'give another'
    return f'give another with --cfg-options {key}=PATH'


def _load_local(path: Path, what: str, give: str) -> object:
    """Read a file as weights only, bypassing MMEngine's loader and its fallback."""
    if is_safetensors(path) and path.exists():
        try:
            return read_safetensors(path)
        except ValueError as error:
            raise UserError(f'{what} {error}; {give}') from error
    check_file(path, what, give, f'is a folder without {SINGLE}')
    try:
        return load_safely(path)
    except pickle.UnpicklingError as error:
        refused = _what_is_refused(error, path)
        if refused:
            raise UserError(f'{what} {refused}; {give}') from error
        raise UserError(f'{what} {_what_is_wrong(path)}; {give}') from error
    except Exception as error:  # torch.load raises various types on invalid data
        raise UserError(f'{what} {_what_is_wrong(path)}; {give}') from error


def check_file(path: Path, what: str, give: str, folder: str = 'is a folder') -> None:
    """Raise a UserError for a missing file, or an invalid zip file.

    Args:
        path: The file.
        what: Description of the file; the error message starts with it.
        give: Hint for replacing it; the error message ends with it.
        folder: Description of a folder's problem.
    """
    if not path.is_file():
        state = folder if path.is_dir() else 'does not exist'
        raise UserError(f'{what} {state}; train it first, or {give}')
    if problem := problem_of_archive(path, path.stat().st_size):
        raise UserError(f'{what} {problem}; {give}')


def problem_of_archive(file: Path | io.BytesIO, size: int) -> str:
    """Describe the problem of an invalid zip file; '' for valid or non-zip files.

    Verifies the checksums, which PyTorch's reader ignores.
    """
    try:
        if not zipfile.is_zipfile(file):
            return ''
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > LARGEST_RATIO * size:
                return (
                    f'is refused: its {size:,} bytes would unpack to {unpacked:,}, '
                    f'more than {LARGEST_RATIO} times its size'
                )
            whole = archive.testzip() is None
    except Exception:  # a damaged directory raises various types
        whole = False
    finally:
        if isinstance(file, io.BytesIO):
            file.seek(0)
    return '' if whole else DAMAGED


def _load_remote(path: str, key: str) -> object:
    """Read a URL, or a path with any scheme that MMEngine supports."""
    scheme = path.partition('://')[0]
    try:
        if scheme in PUBLISHED:
            with weights_only_by_default():
                return CheckpointLoader.load_checkpoint(path, map_location='cpu')
        if scheme in ('http', 'https'):
            cached = _download(path)
            if is_safetensors(cached):
                return read_safetensors(cached)
            file: Path | io.BytesIO = cached
            size = cached.stat().st_size
        else:
            content = fileio.get(path)
            file, size = io.BytesIO(content), len(content)
        reason = problem_of_archive(file, size)
        if not reason:
            return load_safely(file)
    except pickle.UnpicklingError as error:
        reason = _what_is_refused(error) or 'is not a checkpoint of PyTorch'
    except Exception as error:
        reason = f'cannot be downloaded ({str(error) or type(error).__name__})'
        reason = ' '.join(reason.split())
    raise UserError(
        f"{key}: '{path}' {reason}; download it yourself and pass the file with "
        f'--cfg-options {key}=PATH'
    )


def _download(url: str) -> Path:
    """Download a URL into PyTorch's cache unless it is cached; rank 0 goes first."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for first in (True, False):  # machines without rank 0 download it afterwards
        if is_main_process() == first and not path.is_file():
            torch.hub.download_url_to_file(url, str(path))
        barrier()
    return path


def _what_is_refused(error: Exception, path: Path | None = None) -> str:
    """Describe the content that was refused because it could run code.

    Returns '' for any other error. torch's unpickler raises the same error for a file
    that is not a pickle, so the file itself is checked too.
    """
    named = re.search(r'GLOBAL (\w+(?:\.\w+)*) (?:was|whose|of)', str(error))
    if not named and not (path and (zipfile.is_zipfile(path) or _is_pickle(path))):
        return ''
    what = named[1] if named else 'more than weights'
    return (
        f'is refused because loading it could run code: it contains {what}, not only '
        'weights, as model.state_dict() does'
    )


def _is_pickle(path: Path) -> bool:
    """Return True if a file is a complete pickle, without executing its opcodes."""
    with path.open('rb') as file:
        try:
            return bool([step for step, _, _ in pickletools.genops(file)])
        except Exception:
            return False


def _what_is_wrong(path: Path) -> str:
    """Describe why a file is not a valid checkpoint."""
    with path.open('rb') as file:
        head = file.read(len(ZIP))
    if not head:
        return 'is empty'
    if zipfile.is_zipfile(path) and (kind := _kind_of_program(path)):
        return f'is a {kind} program, not a checkpoint'
    if tarfile.is_tarfile(path):
        return (
            'is a tar file, perhaps a checkpoint of PyTorch before 0.4: save it again '
            'with a current version'
        )
    if head.startswith(PICKLE) or (head == ZIP and not zipfile.is_zipfile(path)):
        return DAMAGED
    return 'is not a checkpoint of PyTorch'


def _kind_of_program(path: Path) -> str:
    """Return what wrote a zip file that contains a program; '' for other files."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith('/constants.pkl') for name in names):
        return 'TorchScript'
    exported = ('/models/model.json', 'serialized_exported_program.json')
    return 'torch.export' if any(name.endswith(exported) for name in names) else ''
