"""Reading of ``.safetensors`` files and of folders written by ``save_pretrained``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUFFIX = '.safetensors'
SINGLE, INDEX = f'model{SUFFIX}', f'model{SUFFIX}.index.json'


def is_safetensors(path: Path) -> bool:
    """Return True for such a file or folder."""
    if path.is_dir():
        return Path(path, SINGLE).is_file() or Path(path, INDEX).is_file()
    return path.suffix == SUFFIX


def read_safetensors(path: Path) -> dict[str, Any]:
    """Read the weights as ``state_dict``, and what mmkd has noted as ``meta``.

    Raises:
        ValueError: for an invalid file or folder; the message says what is wrong.
    """
    weights: Mapping[str, str] = {}
    files = [path]
    if path.is_dir():
        files = [Path(path, SINGLE)]
        if not files[0].is_file():
            weights = _read_index(Path(path, INDEX))
            files = [Path(path, name) for name in sorted(set(weights.values()))]
    state: dict[str, Any] = {}
    notes: dict[str, str] = {}
    for file in files:
        content, metadata = _read_file(file)
        state |= content
        notes |= metadata
    if absent := set(weights) - set(state):
        raise ValueError(f'lacks {min(absent)}, which {INDEX} lists; copy it again')
    names = ('dataset_meta', 'CLASSES', 'PALETTE')
    try:
        meta = {name: json.loads(notes[name]) for name in names if name in notes}
    except (RecursionError, ValueError) as error:
        raise ValueError('has invalid metadata; save it again') from error
    return dict(state_dict=state, meta=meta)


def _read_index(path: Path) -> dict[str, str]:
    """Return the file of each weight of a folder with several."""
    try:
        found = json.loads(path.read_text())['weight_map']
        names = {str(name) for name in found.values()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f'has an invalid {INDEX}; copy it again') from error
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(SUFFIX) or '\\' in name:
            raise ValueError(
                f"is refused because its {INDEX} names '{name}', which is not a "
                f'{SUFFIX} file in the folder'
            )
        if not path.with_name(name).is_file():
            raise ValueError(f'lacks {name}, which its {INDEX} names; copy it again')
    return {str(key): str(name) for key, name in found.items()}


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the weights and the metadata of a file."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ValueError("needs safetensors: pip install 'mmkd[networks]'") from error
    try:
        with safe_open(path, framework='pt') as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return weights, dict(file.metadata() or {})
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f'is not a valid safetensors file ({" ".join(str(error).split())}): '
            'download or save it again'
        ) from error
