"""Reading of the files of ``torch.export.save`` as data.

``torch.export.load`` unpickles with ``weights_only=False``, evaluates symbolic
expressions and guards as Python code, and resolves operators by attribute access from
``torch``. Nothing of it is used here.
"""

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmkd.checkpoint import load_safely, problem_of_archive

# Program, weights and constants in the archives of PyTorch 2.8 or newer, below one
# folder, and in those of older versions.
NEW = ('models/model.json', 'data/weights/model.pt', 'data/constants/model.pt')
OLD = (
    'serialized_exported_program.json',
    'serialized_state_dict.pt',
    'serialized_constants.pt',
)
# Folders of the raw tensors of PyTorch 2.9 or newer, and their configs.
RAW = {
    'data/weights/': 'model_weights_config.json',
    'data/constants/': 'model_constants_config.json',
}
MAJOR = 8  # version of the schema, unchanged since PyTorch 2.5
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}


class Refused(Exception):
    """Content that is not read, because it is code or unknown."""


@dataclass(frozen=True)
class Archive:
    """Content of an archive: the program as parsed JSON, and its tensors by name."""

    program: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_archive(path: Path) -> Archive:
    """Read the program and the tensors of an archive without running code.

    Parts that the program does not need, such as example inputs, are not read.

    Raises:
        Refused: for compiled programs, and tensors that are stored as code.
        Exception: of various types, for other invalid files.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if OLD[0] in names:
            root, (model, *pickled), raw = '', OLD, {}
        else:
            root = next(
                (n.removesuffix(NEW[0]) for n in names if n.endswith(NEW[0])), ''
            )
            (model, *pickled), raw = NEW, RAW
        if root + model not in names:
            compiled = any('/aotinductor/' in name for name in names)
            raise Refused(
                'it contains a compiled library (AOTInductor) and no exported program'
                if compiled
                else 'it contains no exported program named model'
            )
        if f'{root}byteorder' in names:
            order = archive.read(f'{root}byteorder').decode()
            if order != sys.byteorder:
                raise Refused(f'its tensors are {order}-endian')
        program = json.loads(archive.read(root + model))
        if program['schema_version']['major'] != MAJOR:
            version = program['schema_version']['major']
            raise Refused(f'its schema has the unknown version {version}')
        tensors: dict[str, Tensor] = {}
        for name in pickled:
            if root + name in names:
                tensors |= _unpickle(archive.read(root + name))
        for folder, config in raw.items():
            if root + folder + config in names:
                entries = json.loads(archive.read(root + folder + config))['config']
                tensors |= _raw_tensors(archive, root + folder, entries)
    return Archive(program, tensors)


def _unpickle(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a nested file of ``torch.save``, weights only."""
    if not content:
        return {}
    file = io.BytesIO(content)
    if problem := problem_of_archive(file, len(content)):
        raise Refused(f'a file in it {problem}')
    found = load_safely(file)
    if not isinstance(found, Mapping):
        raise Refused(f'it contains a {type(found).__name__} instead of weights')
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _raw_tensors(
    archive: zipfile.ZipFile, folder: str, entries: Mapping[str, Mapping]
) -> dict[str, Tensor]:
    """Return the tensors that a config describes, as views of the raw files."""
    files: dict[tuple[str, torch.dtype], Tensor] = {}
    tensors = {}
    for name, entry in entries.items():
        path, meta = entry['path_name'], entry['tensor_meta']
        if entry['use_pickle'] or meta is None:
            raise Refused(f"its constant or weight '{name}' is a pickled object")
        dtype = read_dtype(meta['dtype'])
        if (path, dtype) not in files:
            content = bytearray(archive.read(folder + path))
            files[path, dtype] = (
                torch.frombuffer(content, dtype=dtype)
                if content
                else torch.empty(0, dtype=dtype)
            )
        size, stride = (
            [entry['as_int'] for entry in meta[key]] for key in ('sizes', 'strides')
        )
        offset = meta['storage_offset']['as_int']
        tensors[name] = files[path, dtype].as_strided(size, stride, offset)
    return tensors


def read_dtype(number: int) -> torch.dtype:
    """Return the data type with a number of the schema."""
    if number not in DTYPES:
        raise Refused(f'its data type {number} is not supported')
    return DTYPES[number]
