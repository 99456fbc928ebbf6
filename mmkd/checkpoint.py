"""Reading checkpoints without running what a stranger put into them."""

import os
import pickle
import pickletools
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from .errors import UserError

# How files that torch.save writes begin: now, and before PyTorch 1.6.
ZIP = b'PK\x03\x04'
PICKLE = b'\x80\x02'
# torch's own switches, which no caller can override. The other one a user may have set
# for OpenMMLab's MMEngine, which cannot read its checkpoints otherwise.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
OPPOSITE = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


@contextmanager
def only_weights() -> Iterator[None]:
    """Has every ``torch.load`` within, MMEngine's too, refuse to run code.

    MMEngine's loaders fall back to full unpickling when the safe way fails; torch's
    own switch overrides that. Runner checkpoints hold a few harmless things beside the
    weights (the log history), which are allowed by name, as numpy 1 and 2 name them.
    """
    multiarray = (getattr(np, '_core', None) or np.core).multiarray
    numbers = '?' + np.typecodes['AllInteger'] + np.typecodes['AllFloat']
    harmless = [
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
    allowed = torch.serialization.get_safe_globals()
    switches = {name: os.environ.pop(name, None) for name in (FORCE, OPPOSITE)}
    # OneDL's loader allows getattr as well, and getattr.__self__.exec runs code.
    theirs = getattr(mmengine_checkpoint, 'get_torch_safe_globals', None)
    os.environ[FORCE] = '1'
    mmengine_checkpoint.get_torch_safe_globals = list
    torch.serialization.add_safe_globals(harmless)
    try:
        yield
    finally:  # not by torch's context manager, which ends an outer one's with its own
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
        os.environ.pop(FORCE)
        os.environ.update({k: v for k, v in switches.items() if v is not None})
        if theirs is not None:
            mmengine_checkpoint.get_torch_safe_globals = theirs


def _history_method(owner: object, name: str) -> object:
    """What a pickled log history needs of getattr: its own public methods."""
    if owner is not HistoryBuffer or str(name).startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} was refused')
    return getattr(owner, name)


def load_weights(
    path: str, key: str, entry: str = 'state_dict'
) -> tuple[dict[str, torch.Tensor], dict]:
    """Loads the weights of a checkpoint and what it says of itself, safely.

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
    checkpoint, give = read_checkpoint(path, key), _mend(key)
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise UserError(f"{key}: '{path}' holds a {kind}, no state dict; {give}")
    state = checkpoint.get(entry, checkpoint)
    state = {
        name.removeprefix('module.'): value
        for name, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not state:
        found = ', '.join(map(str, list(checkpoint)[:5])) or 'nothing'
        raise UserError(f"{key}: '{path}' holds no weights, but {found}; {give}")
    return state, checkpoint.get('meta') or {}


def read_checkpoint(path: str, key: str) -> object:
    """Reads a checkpoint, whatever is in it, safely.

    The arguments and errors are those of :func:`load_weights`.
    """
    with only_weights():
        if '://' in path:
            return _load_remote(path, key)
        return _load_local(Path(path).expanduser(), f"{key}: '{path}'", _mend(key))


def _mend(key: str) -> str:
    """What to do about a bad file."""
    if key == 'checkpoint':  # a tool's argument, no key of the config
        return 'give another'
    return f'give another with --cfg-options {key}=PATH'


def _load_local(path: Path, what: str, give: str) -> object:
    """Reads a file as weights only, past MMEngine's loader and its fallback."""
    if not path.is_file():
        state = 'is a folder' if path.is_dir() else 'does not exist'
        raise UserError(f'{what} {state}; train it first, or {give}')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        refused = _what_is_refused(error, path)
        if refused:
            raise UserError(f'{what} {refused}; {give}') from error
        raise UserError(f'{what} {_what_is_wrong(path)}; {give}') from error
    except Exception as error:  # garbage has torch fail in any way
        raise UserError(f'{what} {_what_is_wrong(path)}; {give}') from error


def _load_remote(path: str, key: str) -> object:
    """Reads what lies at a URL or under any scheme that MMEngine knows."""
    try:
        return CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except pickle.UnpicklingError as error:
        reason = _what_is_refused(error) or 'is not a checkpoint of PyTorch'
    except Exception as error:
        reason = f'cannot be fetched and read ({str(error) or type(error).__name__})'
        reason = ' '.join(reason.split())
    raise UserError(
        f"{key}: '{path}' {reason}; download it elsewhere and give the file with "
        f'--cfg-options {key}=PATH'
    )


def _what_is_refused(error: Exception, path: Path | None = None) -> str:
    """Says so if loading was stopped since it could run code; else ''.

    Of a file that is no pickle at all, torch's unpickler complains in the same way as
    of one that calls what it should not.
    """
    named = re.search(r'GLOBAL (\w+(?:\.\w+)*) (?:was|whose|of)', str(error))
    if not named and not (path and (zipfile.is_zipfile(path) or _is_pickle(path))):
        return ''
    what = named[1] if named else 'more than weights'
    return f'is refused, since loading it could run code: it holds {what}'


def _is_pickle(path: Path) -> bool:
    """Whether a file is a whole pickle; reads its steps without taking them."""
    with path.open('rb') as file:
        try:
            return bool([step for step, _, _ in pickletools.genops(file)])
        except Exception:
            return False


def _what_is_wrong(path: Path) -> str:
    """Truncated, or something else altogether."""
    with path.open('rb') as file:
        head = file.read(len(ZIP))
    if not head:
        return 'is empty'
    if zipfile.is_zipfile(path) and _holds_a_program(path):
        return 'is a program of TorchScript, not a checkpoint'
    if tarfile.is_tarfile(path):
        return 'is of a PyTorch before 0.4, if a checkpoint at all: save it anew'
    if head.startswith(PICKLE) or (head == ZIP and not zipfile.is_zipfile(path)):
        return 'is truncated or damaged: fetch or save it again'
    return 'is not a checkpoint of PyTorch'


def _holds_a_program(path: Path) -> bool:
    """Whether a zip file has what torch.jit.save writes beside the weights."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def check_fit(
    model: nn.Module,
    state: Mapping[str, torch.Tensor],
    what: str,
    allow_extra: bool = False,
) -> None:
    """Checks that a state dict has every weight of a network, in its shape.

    Args:
        model: The network.
        state: The weights.
        what: What the weights are, to begin the error with.
        allow_extra: Whether weights that the network has not got may be there.

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
    misshapen = [
        f'{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    kinds = {'missing': missing, 'unexpected': extra, 'of another shape': misshapen}
    found = '; '.join(
        f'{len(keys)} {kind} ({", ".join(keys[:3])}{", ..." if len(keys) > 3 else ""})'
        for kind, keys in kinds.items()
        if keys
    )
    if found:
        cause = _likely_cause(missing, extra, misshapen)
        raise UserError(f'{what} does not fit the network: {found}; {cause}')


def _likely_cause(missing: list[str], extra: list[str], misshapen: list[str]) -> str:
    """The commonest reason for such keys to differ."""
    different = ' '.join(missing + extra)
    if 'backbone.stem.' in different and 'backbone.conv1.' in different:
        return 'its stem is another: ResNetV1c (R101) against ResNet (R101b)?'
    if misshapen and all('conv_seg' in key or 'fc' in key for key in misshapen):
        return 'was it trained on other classes?'
    if extra and not missing:
        return 'does the config lack a head, or layers, that it has?'
    return 'does it belong to another config?'
