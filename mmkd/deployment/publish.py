"""Publishing of a trained network."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config

from mmkd.errors import UserError, output_errors

from .model_card import model_card
from .network import load_network
from .plain_config import plain_config

FORMATS = ('pth', 'safetensors')


def publish(config: Config, checkpoint: str, out: Path, kind: str = 'pth') -> Path:
    """Write weights, config and model card of a network, the student of a distillation.

    The weights are the checkpoint's ``state_dict``, i.e. the averaged weights if the
    run averaged them. As in OpenMMLab, the file is named after the config and the first
    8 hex digits of its SHA-256. The config is ``student.py``.

    Args:
        config: Config of a distillation or an ordinary training.
        checkpoint: Path or URL.
        out: Folder; existing files of the same names are replaced.
        kind: Format of the weights, one of ``FORMATS``. Default ``'pth'``.

    Returns:
        The path of the weights.

    Raises:
        UserError: if the checkpoint cannot be read, does not match the config, or the
            files cannot be written.
    """
    network, meta = load_network(config, checkpoint)
    # Contiguous copies, since saving a view would save its whole storage.
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    # Checkpoints of mmseg before 1.0 have CLASSES and PALETTE instead.
    kept = {k: meta[k] for k in ('dataset_meta', 'CLASSES', 'PALETTE') if k in meta}
    content = _ENCODERS[kind](state, kept)
    digits = hashlib.sha256(content).hexdigest()[:8]
    path = Path(out, f'{Path(config.filename).stem}-{digits}.{kind}')
    with output_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.with_name('student.py').write_text(plain_config(config).pretty_text)
        card = model_card(config, network, checkpoint, meta, path.name)
        path.with_name('README.md').write_text(card)
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
            "--format safetensors: not installed; run pip install 'mmkd[deploy]'"
        ) from error
    notes = {name: json.dumps(value) for name, value in meta.items()}
    return save(dict(state), {'format': 'pt', **notes})


_ENCODERS = dict(zip(FORMATS, (_as_pth, _as_safetensors), strict=True))
