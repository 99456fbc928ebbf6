"""Students of other families: their trainings, one setting for all, and table."""

from collections.abc import Mapping
from dataclasses import replace
from statistics import mean
from typing import Any

from mmkd.analysis.statistics import format_mean, summarize
from mmkd.engine.config import read_config
from studies.camvid.plan import PLAN
from studies.camvid_plan import BASELINE, METRIC, length_options
from studies.trials import Trial, Trials

GROUP = 'families'
FAMILIES = {
    'BiSeNetV2': 'bisenetv2',
    'STDC': 'stdc',
    'DDRNet': 'ddrnet',
    'MobileNetV3-LRASPP': 'lraspp',
    'SegFormer': 'segformer',
}
AUTO = ', automatic weight'
# Places of the losses of a head that has several.
LOSSES = {'DDRNet': ('.0', '.1')}


def other_students(trials: Trials) -> list[Trial]:
    """Return the trials of all families, at the middle length, seed by seed."""
    return [
        replace(
            trial,
            method=method_of(family, trial.method),
            config=config_of(family, distilled=trial.teacher is not None),
            options=options_of(family, trial.options),
        )
        for seed in PLAN.seeds
        for family in FAMILIES
        for trial in of_the_pair(trials, seed)
    ]


def of_the_pair(trials: Trials, seed: int) -> list[Trial]:
    """Return the trials of a seed, for the student of the study's pair."""
    tuned = PLAN.tuned(trials)
    options = length_options(PLAN.lengths[1]) | PLAN.weights(trials)
    distilled = [
        PLAN.distill(GROUP, method, seed, tuned.best(method), options, PLAN.teacher)
        for method in PLAN.checked_methods(trials)
    ]
    return [
        PLAN.baseline(GROUP, seed, options),
        *distilled,
        with_automatic_weights(distilled[-1]),
    ]


def options_of(family: str, options: Mapping[str, object]) -> dict[str, object]:
    """Return options for a family's head, which may have several losses."""
    head = 'model.decode_head.loss_decode'
    return {
        key.replace(head, f'{head}{place}'): value
        for key, value in options.items()
        for place in LOSSES.get(family, ('',))
    }


def config_of(family: str, distilled: bool = False) -> str:
    """Return the path of a family's config, of the student or its distillation."""
    prefix = 'distilled_' if distilled else ''
    return str(PLAN.folder / 'families' / f'{prefix}{FAMILIES[family]}.py')


def family_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of differences to the baselines.

    The last two rows are the mean over the families, and the smallest difference.
    """
    values = trials.values(GROUP, METRIC)
    methods = sorted({name.partition(', ')[2] for name in values} - {BASELINE})
    rows, differences = [], {method: [] for method in methods}
    for family in FAMILIES:
        of_family = {m: values[method_of(family, m)] for m in (BASELINE, *methods)}
        baseline, *others = summarize(of_family, BASELINE)
        row = [family, f'{parameters(config_of(family)) / 1e6:.2f} M']
        row.append(format_mean(baseline['mean'], baseline['sd']))
        for found in others:
            row.append(difference_cell(found))
            differences[found['config']].append(found['difference'])
        rows.append(row)
    for name, reduce in ('mean', mean), ('smallest', min):
        cells = [f'{reduce(each):+.2f}' for each in differences.values()]
        rows.append([name, '', '', *cells])
    return ['student', 'parameters', BASELINE, *methods], rows


def method_of(family: str, method: str) -> str:
    """Return the name of a method's trials for a family."""
    return f'{family}, {method}'


def with_automatic_weights(trial: Trial) -> Trial:
    """Return a distillation with the automatic weight for each of its losses."""
    options = {
        key: 'auto' if key.endswith('.loss_weight') else value
        for key, value in trial.options.items()
    }
    return replace(trial, method=f'{trial.method}{AUTO}', options=options)


def difference_cell(row: Mapping[str, Any]) -> str:
    """Return a row of :func:`summarize` as difference and number above."""
    difference = format_mean(row['difference'], row['difference sd'], '+')
    return f'{difference}, {row["above"]} of {row["pairs"]}'


def parameters(config: str) -> int:
    """Return the number of parameters without auxiliary heads."""
    # Imported here, after import warnings are silenced.
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope('mmseg')
    model = MODELS.build(read_config(config).model | dict(auxiliary_head=None))
    return sum(parameter.numel() for parameter in model.parameters())
