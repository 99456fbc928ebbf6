"""Publishing a trained network."""

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
    """Write a network, a distillation's student: weights, config and model card.

    The weights are those of the checkpoint's ``state_dict``, averaged ones where the
    run averaged, and are named after the config and the first 8 hex digits of their
    SHA-256, as OpenMMLab's are. The config is ``student.py``.

    Args:
        config: Config of a distillation or of a network alone.
        checkpoint: Path or URL.
        out: Folder; files of the same names are replaced.
        kind: One of ``FORMATS``.

    Returns:
        The path of the weights.

    Raises:
        UserError: if the checkpoint cannot be read or does not match the config, or
            nothing can be written.
    """
    network, meta = load_network(config, checkpoint)
    # Contiguous copies: no tensor brings a larger storage along.
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    # mmseg before 1.0 wrote CLASSES and PALETTE.
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
            "--format safetensors: not installed; pip install 'mmkd[deploy]'"
        ) from error
    notes = {name: json.dumps(value) for name, value in meta.items()}
    return save(dict(state), {'format': 'pt', **notes})


_ENCODERS = dict(zip(FORMATS, (_as_pth, _as_safetensors), strict=True))
