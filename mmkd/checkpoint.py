"""Safe reading of untrusted checkpoints: weights only, no code."""

import io
import os
import pickle
import pickletools
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine import fileio
from mmengine.dist import barrier, is_main_process
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn
from torch.serialization import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
)

from .errors import UserError

# Schemes of published files, of which MMEngine knows the URLs.
PUBLISHED = ('open-mmlab', 'openmmlab', 'torchvision', 'mmcls')
# Largest ratio of what a zip file unpacks to and its own size. What torch.save writes
# has 1; a larger one, of which a few kilobytes fill the memory, is refused unread.
LARGEST_RATIO = 10
DAMAGED = 'is truncated or damaged: fetch or save it again'
# How files that torch.save writes begin: now, and before PyTorch 1.6.
ZIP = b'PK\x03\x04'
PICKLE = b'\x80\x02'
# torch's own switches, which no caller can override. The other one a user may have set
# for OpenMMLab's MMEngine, which cannot read its checkpoints otherwise.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
OPPOSITE = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


def _harmless_types() -> list:
    """Types that a Runner's checkpoint holds beside weights, as both numpys name them.

    The log history is pickled through ``getattr``, of which only its own public
    methods are let through.
    """
    multiarray = (getattr(np, '_core', None) or np.core).multiarray
    numbers = '?' + np.typecodes['AllInteger'] + np.typecodes['AllFloat']
    return [
        HistoryBuffer,
        bytes,  # of an empty history
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
    """Unpickle weights and harmless types only, whatever the user's environment."""
    with weights_only_by_default():
        return torch.load(file, map_location='cpu', weights_only=True, mmap=mmap)


def check_saved(path: Path) -> None:
    """Check that a checkpoint that this process has written will be read again.

    Raises:
        UserError: naming the entry that would be refused, or for wrong checksums.
    """
    if _problem_of_archive(path, path.stat().st_size):
        raise UserError(
            'the checkpoint would be refused on resume, as its checksums are wrong: '
            'torch.serialization.set_crc32_options(False) leaves them out, do not call '
            'it; otherwise the disk is damaged'
        )
    try:
        load_safely(path, mmap=True)
    except pickle.UnpicklingError as error:
        own = torch.load(path, map_location='cpu', weights_only=False)
        entry, value = _first_refused(own)
        kind = f'{type(value).__module__}.{type(value).__qualname__}'
        raise UserError(
            f'{entry}: a {kind} in the checkpoint would be refused on resume, as only '
            'weights and plain values are read; let the hook or metric that stores it '
            'store a text, a number, a list or a dict'
        ) from error


def _first_refused(node: object, key: str = '') -> tuple[str, object]:
    """Return the innermost entry of a checkpoint that is refused, with its key."""
    parts = node.items() if isinstance(node, Mapping) else ()
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
    """Make ``torch.load`` within this context refuse code, whoever calls it.

    By torch's own environment variable: for network code that loads files itself. Types
    that a caller allows are allowed here too; OneDL's MMEngine allows ``getattr`` for
    local files, which therefore are to be read by :func:`read_checkpoint` before.
    """
    saved = {name: os.environ.pop(name, None) for name in (FORCE, OPPOSITE)}
    allowed = get_safe_globals()
    os.environ[FORCE] = '1'
    add_safe_globals(_harmless_types())
    try:
        yield
    finally:  # not by torch's safe_globals, which ends an outer one's with its own
        clear_safe_globals()
        add_safe_globals(allowed)
        os.environ.pop(FORCE)
        os.environ.update({k: v for k, v in saved.items() if v is not None})


def _history_method(owner: object, name: str) -> object:
    """Return a public method of a log history, all that its pickle needs of getattr."""
    if owner is not HistoryBuffer or str(name).startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} was refused')
    return getattr(owner, name)


def load_weights(
    path: str, key: str, entry: str = 'state_dict'
) -> tuple[dict[str, torch.Tensor], dict]:
    """Load the weights and the ``meta`` of a checkpoint, without running code.

    Args:
        path: A file, a URL or any scheme that MMEngine reads. Of several processes
            only rank 0 downloads a URL.
        key: The config key that gave the path, for the errors.
        entry: Where in the file the weights are, unless they are all of it.

    Returns:
        The state dict (a ``module.`` prefix taken off) and the ``meta`` dict.

    Raises:
        UserError: if the file is missing, truncated, not a checkpoint, or would run
            code.
    """
    return state_and_meta(read_checkpoint(path, key), path, key, entry)


def state_and_meta(
    checkpoint: object, path: str, key: str, entry: str = 'state_dict'
) -> tuple[dict[str, torch.Tensor], dict]:
    """Return a checkpoint's weights and its ``meta``; see :func:`load_weights`."""
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise UserError(f"{key}: '{path}' holds a {kind}, no state dict; {_fix(key)}")
    state = checkpoint.get(entry, checkpoint)
    state = dict(state) if isinstance(state, Mapping) else {}
    for name in (*checkpoint, *state):
        if not isinstance(name, str):
            raise UserError(f"{key}: '{path}' has {name!r} as a name; {_fix(key)}")
    state = {
        name.removeprefix('module.'): value
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    if not state:
        found = ', '.join(map(str, list(checkpoint)[:5])) or 'nothing'
        raise UserError(f"{key}: '{path}' holds no weights, but {found}; {_fix(key)}")
    meta = checkpoint.get('meta') if entry in checkpoint else None
    if problem := _problem_of_meta(meta):
        raise UserError(f"{key}: '{path}' {problem}; {_fix(key)}")
    return state, meta or {}


def _problem_of_meta(meta: object) -> str:
    """Return why a checkpoint's ``meta`` cannot be used; '' if it can."""
    if meta is None:
        return ''
    if not isinstance(meta, dict):
        return f'has a {type(meta).__name__} as meta, no dict'
    data = meta.get('dataset_meta')
    if data is not None and not isinstance(data, dict):
        return f'has a {type(data).__name__} as meta.dataset_meta, no dict'
    for name, kind, value in (
        ('epoch', int, meta.get('epoch')),
        ('iter', int, meta.get('iter')),
        ('CLASSES', list | tuple, meta.get('CLASSES')),
        ('dataset_meta.classes', list | tuple, (data or {}).get('classes')),
    ):
        if value is not None and not isinstance(value, kind):
            return f'has a {type(value).__name__} as meta.{name}'
    return ''


def read_checkpoint(path: str, key: str) -> object:
    """Read a checkpoint of any content, without running code.

    The arguments and errors are those of :func:`load_weights`.
    """
    if '://' in path:
        return _load_remote(path, key)
    return _load_local(Path(path).expanduser(), f"{key}: '{path}'", _fix(key))


def _fix(key: str) -> str:
    """Return the fix for an invalid file."""
    if key == 'checkpoint':  # a tool's argument, no key of the config
        return 'give another'
    return f'give another with --cfg-options {key}=PATH'


def _load_local(path: Path, what: str, give: str) -> object:
    """Read a file as weights only, without MMEngine's loader and its fallback."""
    if not path.is_file():
        state = 'is a folder' if path.is_dir() else 'does not exist'
        raise UserError(f'{what} {state}; train it first, or {give}')
    if problem := _problem_of_archive(path, path.stat().st_size):
        raise UserError(f'{what} {problem}; {give}')
    try:
        return load_safely(path)
    except pickle.UnpicklingError as error:
        refused = _what_is_refused(error, path)
        if refused:
            raise UserError(f'{what} {refused}; {give}') from error
        raise UserError(f'{what} {_what_is_wrong(path)}; {give}') from error
    except Exception as error:  # garbage has torch fail in any way
        raise UserError(f'{what} {_what_is_wrong(path)}; {give}') from error


def _problem_of_archive(file: Path | io.BytesIO, size: int) -> str:
    """Return why a zip file is not to be read; '' if it is, or for another kind.

    PyTorch's reader does not look at the checksums.
    """
    try:
        if not zipfile.is_zipfile(file):
            return ''
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > LARGEST_RATIO * size:
                return (
                    f'is refused: of {size:,} bytes, it would unpack to {unpacked:,}, '
                    f'more than {LARGEST_RATIO} times as many'
                )
            whole = archive.testzip() is None
    except Exception:  # any, from a damaged directory
        whole = False
    finally:
        if isinstance(file, io.BytesIO):
            file.seek(0)
    return '' if whole else DAMAGED


def _load_remote(path: str, key: str) -> object:
    """Read a URL, or a file under any scheme that MMEngine knows."""
    scheme = path.partition('://')[0]
    try:
        if scheme in PUBLISHED:
            with weights_only_by_default():
                return CheckpointLoader.load_checkpoint(path, map_location='cpu')
        if scheme in ('http', 'https'):
            file = _download(path)
            size = file.stat().st_size
        else:
            file = io.BytesIO(fileio.get(path))
            size = file.getbuffer().nbytes
        reason = _problem_of_archive(file, size)
        if not reason:
            return load_safely(file)
    except pickle.UnpicklingError as error:
        reason = _what_is_refused(error) or 'is not a checkpoint of PyTorch'
    except Exception as error:
        reason = f'cannot be fetched and read ({str(error) or type(error).__name__})'
        reason = ' '.join(reason.split())
    raise UserError(
        f"{key}: '{path}' {reason}; download it elsewhere and give the file with "
        f'--cfg-options {key}=PATH'
    )


def _download(url: str) -> Path:
    """Download a URL into PyTorch's cache, unless it is there; rank 0 comes first."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for first in (True, False):  # machines without a rank 0 download it afterwards
        if is_main_process() == first and not path.is_file():
            torch.hub.download_url_to_file(url, str(path))
        barrier()
    return path


def _what_is_refused(error: Exception, path: Path | None = None) -> str:
    """Return what was refused as it could run code; '' for another error.

    Of a file that is no pickle at all, torch's unpickler complains in the same way as
    of one that calls what it should not.
    """
    named = re.search(r'GLOBAL (\w+(?:\.\w+)*) (?:was|whose|of)', str(error))
    if not named and not (path and (zipfile.is_zipfile(path) or _is_pickle(path))):
        return ''
    what = named[1] if named else 'more than weights'
    return f'is refused, since loading it could run code: it holds {what}'


def _is_pickle(path: Path) -> bool:
    """Return True if a file is a complete pickle; its opcodes are not executed."""
    with path.open('rb') as file:
        try:
            return bool([step for step, _, _ in pickletools.genops(file)])
        except Exception:
            return False


def _what_is_wrong(path: Path) -> str:
    """Return the reason why a file is no checkpoint."""
    with path.open('rb') as file:
        head = file.read(len(ZIP))
    if not head:
        return 'is empty'
    if zipfile.is_zipfile(path) and _holds_a_program(path):
        return 'is a program of TorchScript, not a checkpoint'
    if tarfile.is_tarfile(path):
        return 'is of a PyTorch before 0.4, if a checkpoint at all: save it anew'
    if head.startswith(PICKLE) or (head == ZIP and not zipfile.is_zipfile(path)):
        return DAMAGED
    return 'is not a checkpoint of PyTorch'


def _holds_a_program(path: Path) -> bool:
    """Return True if a zip file has what torch.jit.save writes beside the weights."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def check_fit(
    model: nn.Module,
    state: Mapping[str, torch.Tensor],
    what: str,
    allow_extra: bool = False,
) -> None:
    """Check that a state dict has every weight of a network, in its shape.

    Args:
        model: The network.
        state: The weights.
        what: Description of the weights, with which the error starts.
        allow_extra: Allow weights that the network does not have. Default False.

    Raises:
        UserError: that lists the first keys and the likely cause.
    """
    own = model.state_dict()
    missing = [
        key
        for key in own
        if key not in state and not key.endswith('num_batches_tracked')
    ]
    extra = [] if allow_extra else [key for key in state if key not in own]
    mismatched = [
        f'{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    kinds = {'missing': missing, 'unexpected': extra, 'of another shape': mismatched}
    found = '; '.join(
        f'{len(keys)} {kind} ({", ".join(keys[:3])}{", ..." if len(keys) > 3 else ""})'
        for kind, keys in kinds.items()
        if keys
    )
    if found:
        cause = _likely_cause(missing, extra, mismatched)
        raise UserError(f'{what} does not fit the network: {found}; {cause}')


def check_finite(state: Mapping[str, torch.Tensor], what: str) -> None:
    """Raise a UserError that names the first weights that are NaN or infinite.

    Args:
        state: The weights.
        what: Description of the weights, with which the error starts.
    """
    bad = [name for name, value in state.items() if not value.isfinite().all()]
    if bad:
        names = f'{", ".join(bad[:3])}{", ..." if len(bad) > 3 else ""}'
        raise UserError(
            f'{what} has NaN or infinite weights in {len(bad)} of {len(state)} tensors '
            f'({names}): its training diverged, or the file is damaged; give another'
        )


def _likely_cause(missing: list[str], extra: list[str], mismatched: list[str]) -> str:
    """Return the most common reason for such keys to differ."""
    different = ' '.join(missing + extra)
    if 'backbone.stem.' in different and 'backbone.conv1.' in different:
        return 'its stem is another: ResNetV1c (R101) against ResNet (R101b)?'
    if mismatched and all('conv_seg' in key or 'fc' in key for key in mismatched):
        return 'was it trained on other classes?'
    if extra and not missing:
        return 'does the config lack a head, or layers, that it has?'
    return 'does it belong to another config?'
