"""Model card of a published network: recipe, metrics and usage."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from mmkd.engine.recorded_config import recorded_config
from mmkd.errors import UserError
from mmkd.runs.recipe import recipe
from mmkd.runs.run_directory import RunDirectory

from .latency_table import network_size
from .plain_config import needs_mmkd

# Example code by package and format of the weights.
USAGE = {
    ('mmseg', 'pth'): """
from mmseg.apis import inference_model, init_model

model = init_model('student.py', '{file}', device='cpu')
result = inference_model(model, 'image.png')
""",
    ('mmseg', 'safetensors'): """
from mmseg.apis import inference_model, init_model
from safetensors.torch import load_file

model = init_model('student.py', device='cpu')
model.load_state_dict(load_file('{file}'))
result = inference_model(model, 'image.png')
""",
    ('mmpretrain', 'pth'): """
from mmpretrain import ImageClassificationInferencer

classify = ImageClassificationInferencer('student.py', '{file}', device='cpu')
(result,) = classify('image.png')
""",
    ('mmpretrain', 'safetensors'): """
from mmpretrain import ImageClassificationInferencer
from safetensors.torch import load_file

classify = ImageClassificationInferencer('student.py', pretrained=False, device='cpu')
classify.model.load_state_dict(load_file('{file}'))
(result,) = classify('image.png')
""",
}
CARD = """# {name}

{how} with mmkd, knowledge distillation for OpenMMLab.

## Recipe

{recipe}

## Metrics

{metrics}

## Use

In this folder, with {packages} installed:

```python
{usage}
```
"""


def model_card(
    config: Config, network: nn.Module, checkpoint: str, meta: Mapping, file: str
) -> str:
    """Return the Markdown page that is published with the weights.

    Args:
        config: Config of the training.
        network: The network.
        checkpoint: Path of its checkpoint, whose folder should contain the run's logs.
        meta: ``meta`` of the checkpoint.
        file: File name of the published weights.
    """
    used = _used_config(meta, config)
    by_epoch = 'max_epochs' in (used.get('train_cfg') or {})
    unit = 'epoch' if by_epoch else 'iteration'
    step: Any = meta.get('epoch' if by_epoch else 'iter')
    package = 'mmpretrain' if config.get('default_scope') == 'mmpretrain' else 'mmseg'
    usage = USAGE[package, file.rpartition('.')[2]]
    run = RunDirectory(Path(checkpoint).parent)
    parameters, mebibytes = network_size(network)
    rows = recipe(used)
    rows['network'] += f'; {parameters:.2f} M parameters, {mebibytes:.1f} MiB'
    loop = used.get('train_cfg') or {}
    total = loop.get('max_iters') or loop.get('max_epochs')
    if step and total:
        rows['length'] = f'{step} of {total} {unit}s'
    return CARD.format(
        name=Path(config.filename).stem,
        how='Distilled' if used.get('teacher') else 'Trained',
        recipe=_table(rows),
        metrics=_metrics(run.validations.get(step), unit, step),
        packages=package + ' and mmkd' * needs_mmkd(config.model),
        usage=usage.format(file=file).strip(),
    )


def _used_config(meta: Mapping, config: Config) -> Config:
    """Return the config recorded in a checkpoint, which includes all overrides.

    If it cannot be read, return ``config``.
    """
    text: Any = meta.get('cfg')
    try:
        return recorded_config(text, 'meta.cfg')
    except UserError:
        return config


def _metrics(metrics: Mapping[str, float] | None, unit: str, step: int | None) -> str:
    if not metrics:
        return 'None: there is no log of a validation next to the checkpoint.'
    values = {name: f'{value:.2f}' for name, value in metrics.items()}
    return f'On the validation images, after {unit} {step}:\n\n{_table(values)}'


def _table(rows: Mapping[str, str]) -> str:
    """Format a Markdown table of two columns."""
    lines = [f'| {_escape(name)} | {_escape(value)} |' for name, value in rows.items()]
    return '\n'.join(['| | |', '| --- | --- |', *lines])


def _escape(text: str) -> str:
    """Escape Markdown and HTML markup, and join the text into one line."""
    return re.sub(r'([\\`*<>\[\]|&])', r'\\\1', ' '.join(text.split()))
