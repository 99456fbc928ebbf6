"""What a published network says of itself: recipe, metrics and use."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mmkd.engine.run_directory import RunDirectory
from mmkd.engine.student_config import is_distillation, needs_mmkd, student_config

from .side_by_side import weigh

# By package and kind of the weights.
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

{intro}

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
    config: Config, student: nn.Module, checkpoint: str, meta: Mapping, file: str
) -> str:
    """Writes the page that goes with published weights.

    Args:
        config: That the network was trained with.
        student: The network.
        checkpoint: Where it was; the run's log is looked for beside it.
        meta: Of the checkpoint.
        file: Name of the published weights.

    Returns:
        Markdown.
    """
    by_epoch = 'max_epochs' in (config.get('train_cfg') or {})
    unit = 'epoch' if by_epoch else 'iteration'
    step = meta.get('epoch' if by_epoch else 'iter')
    package = 'mmpretrain' if config.get('default_scope') == 'mmpretrain' else 'mmseg'
    usage = USAGE[package, file.rpartition('.')[2]]
    own = ['mmkd'] if needs_mmkd(student_config(config).model) else []
    run = RunDirectory(Path(checkpoint).parent)
    how = 'Distilled' if is_distillation(config) else 'Trained'
    return CARD.format(
        name=Path(config.filename).stem,
        intro=f'{how} with mmkd, knowledge distillation for OpenMMLab.',
        recipe=_table(_recipe(config, student, step, unit)),
        metrics=_metrics(run.validations.get(step), unit, step),
        packages=' and '.join([package, *own]),
        usage=usage.format(file=file).strip(),
    )


def _recipe(
    config: Config, student: nn.Module, step: int | None, unit: str
) -> dict[str, str]:
    """What the network was made of, and how."""
    parameters, mebibytes = weigh(student)
    rows = {
        'network': f'{_network(student_config(config).model)}; '
        f'{parameters:.2f} M parameters, {mebibytes:.1f} MiB'
    }
    if is_distillation(config):
        teacher = config.model.get('teacher') or {}
        named = teacher.get('config')
        kind = f'`{Path(named).stem}`' if named else _network(teacher.get('model', {}))
        rows['teacher'] = f'{kind}, `{Path(teacher.get("checkpoint", "")).name}`'
        for name, loss in (config.model.get('distill_losses') or {}).items():
            rows[name] = f'`{_call(loss)}`'
    loader = config.get('train_dataloader') or {}
    if 'dataset' in loader:
        rows['data'] = (
            f'{loader.dataset.get("type")}, in batches of '
            f'{loader.get("batch_size", 1)} for each process'
        )
    if 'optim_wrapper' in config:
        rows['optimiser'] = f'`{_call(config.optim_wrapper.get("optimizer", {}))}`'
    loop = config.get('train_cfg') or {}
    total = loop.get('max_iters') or loop.get('max_epochs')
    if step and total:
        rows['length'] = f'{step} of {total} {unit}s'
    return rows


def _network(model: Mapping) -> str:
    """Head and backbone of a config's model."""
    head = model.get('decode_head') or model.get('head') or {}
    if isinstance(head, list | tuple):  # a cascade
        head = head[-1]
    backbone = model.get('backbone') or {}
    kinds = ('depth', 'stem_channels', 'base_channels', 'arch')
    details = ', '.join(f'{key} {backbone[key]}' for key in kinds if key in backbone)
    name = f'{head.get("type", model.get("type"))} on {backbone.get("type")}'
    return f'{name} ({details})' if details else name


def _call(node: object) -> str:
    """A part of a config as the call it stands for."""
    if not isinstance(node, Mapping):
        return repr(node)
    arguments = (f'{k}={_call(v)}' for k, v in node.items() if k != 'type')
    return f'{node.get("type", "dict")}({", ".join(arguments)})'


def _metrics(metrics: Mapping[str, float] | None, unit: str, step: int | None) -> str:
    """The validation's values, or that there are none."""
    if not metrics:
        return 'None: there is no log of a validation beside the checkpoint.'
    values = {name: f'{value:.2f}' for name, value in metrics.items()}
    return f'On the validation images, after {unit} {step}:\n\n{_table(values)}'


def _table(rows: Mapping[str, str]) -> str:
    """Two columns in Markdown; a bar in a value would end its cell."""
    lines = [f'| {k} | {v.replace("|", chr(92) + "|")} |' for k, v in rows.items()]
    return '\n'.join(['| | |', '| --- | --- |', *lines])
