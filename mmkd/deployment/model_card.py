"""Model card of a published network: recipe, metrics and use."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mmkd.registry import type_name
from mmkd.runs.run_directory import RunDirectory

from .latency_table import network_size
from .plain_config import needs_mmkd

# By package and format of the weights.
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
    """Return the page that is published with the weights, in Markdown.

    Args:
        config: Config of the training.
        network: The network.
        checkpoint: Path of its checkpoint; the run's log is looked for beside it.
        meta: ``meta`` of the checkpoint.
        file: Name of the published weights.
    """
    by_epoch = 'max_epochs' in (config.get('train_cfg') or {})
    unit = 'epoch' if by_epoch else 'iteration'
    step = meta.get('epoch' if by_epoch else 'iter')
    package = 'mmpretrain' if config.get('default_scope') == 'mmpretrain' else 'mmseg'
    usage = USAGE[package, file.rpartition('.')[2]]
    run = RunDirectory(Path(checkpoint).parent)
    return CARD.format(
        name=Path(config.filename).stem,
        how='Distilled' if config.get('teacher') else 'Trained',
        recipe=_table(_recipe(config, network, step, unit)),
        metrics=_metrics(run.validations.get(step), unit, step),
        packages=package + ' and mmkd' * needs_mmkd(config.model),
        usage=usage.format(file=file).strip(),
    )


def _recipe(
    config: Config, network: nn.Module, step: int | None, unit: str
) -> dict[str, str]:
    """Return the rows on the network and its training."""
    parameters, mebibytes = network_size(network)
    rows = {
        'network': f'{_describe(config.model)}; {parameters:.2f} M parameters, '
        f'{mebibytes:.1f} MiB'
    }
    if teacher := config.get('teacher'):
        path = teacher.get('config')
        name = f'`{Path(path).stem}`' if path else _describe(teacher.get('model', {}))
        rows['teacher'] = f'{name}, `{Path(teacher.get("checkpoint", "")).name}`'
    for name, loss in (config.get('distill_losses') or {}).items():
        rows[name] = f'`{_call(loss)}`'
    loader = config.get('train_dataloader') or {}
    if 'dataset' in loader:
        rows['data'] = (
            f'{type_name(loader.dataset)}, in batches of '
            f'{loader.get("batch_size", 1)} for each process'
        )
    if 'optim_wrapper' in config:
        rows['optimizer'] = f'`{_call(config.optim_wrapper.get("optimizer", {}))}`'
    loop = config.get('train_cfg') or {}
    total = loop.get('max_iters') or loop.get('max_epochs')
    if step and total:
        rows['length'] = f'{step} of {total} {unit}s'
    return rows


def _describe(model: Mapping) -> str:
    """Name head and backbone of a config's model."""
    head = model.get('decode_head') or model.get('head') or {}
    if isinstance(head, list | tuple):  # a cascade
        head = head[-1]
    backbone = model.get('backbone') or {}
    kinds = ('depth', 'stem_channels', 'base_channels', 'arch')
    details = ', '.join(f'{key} {backbone[key]}' for key in kinds if key in backbone)
    name = f'{type_name(head or model)} on {type_name(backbone)}'
    return f'{name} ({details})' if details else name


def _call(node: object) -> str:
    """Write a part of a config as the call that it stands for."""
    if not isinstance(node, Mapping):
        return repr(node)
    arguments = (f'{k}={_call(v)}' for k, v in node.items() if k != 'type')
    name = type_name(node) if 'type' in node else 'dict'
    return f'{name}({", ".join(arguments)})'


def _metrics(metrics: Mapping[str, float] | None, unit: str, step: int | None) -> str:
    if not metrics:
        return 'None: there is no log of a validation beside the checkpoint.'
    values = {name: f'{value:.2f}' for name, value in metrics.items()}
    return f'On the validation images, after {unit} {step}:\n\n{_table(values)}'


def _table(rows: Mapping[str, str]) -> str:
    """Write two columns in Markdown; a bar in a value would end its cell."""
    lines = [f'| {k} | {v.replace("|", chr(92) + "|")} |' for k, v in rows.items()]
    return '\n'.join(['| | |', '| --- | --- |', *lines])
