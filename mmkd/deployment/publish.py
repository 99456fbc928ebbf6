"""A trained network as others may have it."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config

from mmkd.engine.student_config import standalone_student
from mmkd.errors import UserError

from .model_card import model_card
from .network import load_student
from .writing import write

FORMATS = ('pth', 'safetensors')
# What of a config is about the machine and the run, not the network.
OF_THE_RUN = ('work_dir', 'load_from', 'resume', 'launcher')


def publish(config: Config, checkpoint: str, out: Path, kind: str = 'pth') -> Path:
    """Writes the student alone: weights, ``student.py`` and a model card.

    The weights are those of the checkpoint's ``state_dict``, averaged ones where the
    run averaged, and are named after the config and the first 8 hex digits of their
    SHA-256, as OpenMMLab's are.

    Args:
        config: Of a distillation or of a network alone.
        checkpoint: Path or URL.
        out: The folder; files of the same names are replaced.
        kind: One of ``FORMATS``.

    Returns:
        The path of the weights.

    Raises:
        UserError: if the checkpoint cannot be read or does not fit the config, or
            nothing can be written.
    """
    student, meta = load_student(config, checkpoint)
    # Contiguous copies: no tensor brings a larger storage along.
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in student.state_dict().items()
    }
    # mmseg before 1.0 wrote CLASSES and PALETTE.
    kept = {k: meta[k] for k in ('dataset_meta', 'CLASSES', 'PALETTE') if k in meta}
    content = _ENCODERS[kind](state, kept)
    digits = hashlib.sha256(content).hexdigest()[:8]

    plain = standalone_student(config)
    for key in OF_THE_RUN:
        plain.pop(key, None)
    name = Path(config.filename).stem
    path = Path(out, f'{name}-{digits}.{kind}')
    write(path, content)
    write(path.with_name('student.py'), plain.pretty_text)
    card = model_card(config, student, checkpoint, meta, path.name)
    write(path.with_name('README.md'), card)
    return path


def _as_pth(state: Mapping[str, torch.Tensor], meta: Mapping) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state_dict=dict(state), meta=dict(meta)), buffer)
    return buffer.getvalue()


def _as_safetensors(state: Mapping[str, torch.Tensor], meta: Mapping) -> bytes:
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise UserError(
            "--format safetensors: not installed; pip install 'mmkd[deploy]'"
        ) from error
    notes = {name: json.dumps(value) for name, value in meta.items()}
    return save(dict(state), {'format': 'pt', **notes})


_ENCODERS = dict(zip(FORMATS, (_as_pth, _as_safetensors), strict=True))
