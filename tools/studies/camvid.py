"""The CamVid study: every training of docs/studies/camvid.md

python tools/studies/camvid.py --jobs 2

Trains what docs/studies/camvid/trials.jsonl does not have yet, and writes it there; a
study that is stopped goes on where it was. The methods' settings come from the trials
of the group `tuning`, which see nothing of the validation set. Then the page's tables
and figures are drawn anew.
"""

import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from page import Page, study

from mmkd.analysis.trials import Trial, Trials

CONFIGS = Path('configs/studies/camvid')
WORK = Path('work_dirs/studies/camvid')
PAGE = Page(Path('docs/studies/camvid.md'))
LENGTH = 400

# The last sixth of each of the three films of the training set: for tuning.
HELD_OUT = [*range(52, 62), *range(146, 163), *range(333, 367)]
TUNING = {
    'train_dataloader.dataset.indices': [i for i in range(367) if i not in HELD_OUT],
    'val_dataloader.dataset.indices': HELD_OUT,
    'val_dataloader.dataset.data_prefix.img_path': 'train',
    'val_dataloader.dataset.data_prefix.seg_map_path': 'trainannot',
}
TUNING_SEED, TUNING_LENGTH = 10, 200

KD, LS = dict(type='mmkd.KDLoss'), dict(standardize=True)
BDD = dict(KD, divergence='mmkd.BalancedKL')
DKD = dict(type='mmkd.DKDLoss', beta=1.0)
# Of each method: its loss, and the grid of temperatures and weights.
METHODS = {
    'KD': (KD, (0.5, 1.0, 2.0), (1.0, 4.0)),
    'KD+LS': (dict(KD, **LS), (0.25, 0.5, 1.0), (4.0, 16.0)),
    'BDD': (BDD, (0.5, 1.0, 2.0), (0.5, 2.0)),
    'BDD+LS': (dict(BDD, **LS), (0.25, 0.5, 1.0), (2.0, 8.0)),
    'DKD+LS': (dict(DKD, **LS), (0.25, 0.5, 1.0), (4.0, 16.0)),
    'CWD': (dict(type='mmkd.CWDLoss'), (0.5, 1.0, 4.0), (3.0, 12.0)),
    'DIST': (dict(type='mmkd.DISTLoss'), (0.5, 1.0, 2.0), (1.0, 4.0)),
}


def trained(name: str, options: Mapping | None = None) -> Trial:
    """A teacher's training."""
    config = {'half': 'teacher.py', 'half_tuning': 'teacher.py'}[name]
    return Trial('teachers', name, 0, str(CONFIGS / config), options or {})


TEACHERS = {
    'half': trained('half'),
    'half_tuning': trained('half_tuning', TUNING),
}


def teachers(trials: Trials) -> list[Trial]:
    """Those that the others learn from; the tuning's has not seen what is held out."""
    return list(TEACHERS.values())


def alone(group: str, seed: int, options: Mapping | None = None) -> Trial:
    """The student without a teacher."""
    return Trial(group, 'alone', seed, str(CONFIGS / 'student.py'), options or {})


def distilled(
    group: str,
    method: str,
    seed: int,
    loss: Mapping,
    teacher: str = 'half',
    length: int = LENGTH,
    options: Mapping | None = None,
) -> Trial:
    """A distillation; the weight of a standardised loss is warmed up by default."""
    if loss.get('standardize') and 'schedule' not in loss:
        loss = dict(loss, schedule=dict(warmup=length // 4))
    checkpoint = TEACHERS[teacher].run(WORK).checkpoint
    every = {'model.teacher.checkpoint': str(checkpoint), **(options or {})}
    for key, value in loss.items():
        parts = value if isinstance(value, dict) else {'': value}
        for part, each in parts.items():
            place = f'model.distill_losses.loss.{key}.{part}'.rstrip('.')
            every[place] = each
    return Trial(group, method, seed, str(CONFIGS / 'distilled.py'), every)


def length_options(length: int) -> dict:
    """How long to train."""
    return {
        'train_cfg.max_iters': length,
        'train_cfg.val_interval': length,
        'param_scheduler.1.end': length,
    }


def cells(method: str) -> dict[str, dict]:
    """The grid of a method: its losses by name."""
    loss, taus, weights = METHODS[method]
    return {
        f'{method}, tau {tau:g}, weight {weight:g}': dict(
            loss, tau=tau, loss_weight=weight
        )
        for tau, weight in product(taus, weights)
    }


def tuning(trials: Trials) -> list[Trial]:
    """Six settings of each method, on what is held out of the training set."""
    options = TUNING | length_options(TUNING_LENGTH)
    common = dict(teacher='half_tuning', length=TUNING_LENGTH, options=options)
    return [alone('tuning', TUNING_SEED, options)] + [
        distilled('tuning', name, TUNING_SEED, loss, **common)
        for method in METHODS
        for name, loss in cells(method).items()
    ]


VARIANT = dict(type='mmkd.KDVariant', divergence='mmkd.BalancedKL', tau=0.5)
WARM, COLD = dict(warmup=TUNING_LENGTH // 4), dict(warmup=0)
# Of each mend: how it differs from BDD+LS at tau 0.5, and its weights.
MENDS = {
    'no warm-up': (dict(schedule=COLD), (2.0, 8.0)),
    'per image': (dict(over='image', schedule=WARM), (2.0, 8.0)),
    'times s(student) s(teacher)': (dict(factor='both', schedule=COLD), (0.5, 2.0)),
    'times s(student)^2': (dict(factor='student', schedule=COLD), (0.5, 2.0)),
    'per image, times both': (
        dict(over='image', factor='both', schedule=COLD),
        (0.5, 2.0),
    ),
    'times confidence': (dict(factor='confidence', schedule=WARM), (2.0, 8.0)),
}


def mends(trials: Trials) -> list[Trial]:
    """What standardising at each pixel could be replaced by, with the same length."""
    options = TUNING | length_options(TUNING_LENGTH)
    options['custom_imports.imports'] = ['mmkd', 'variants']
    return [
        distilled(
            'mends',
            f'{name}, weight {weight:g}',
            TUNING_SEED,
            dict(VARIANT, **changes, loss_weight=weight),
            'half_tuning',
            options=options,
        )
        for name, (changes, weights) in MENDS.items()
        for weight in weights
    ]


def draw(trials: Trials) -> None:
    """Fills the page."""


if __name__ == '__main__':
    # Where the trainings find variants.py.
    paths = str(Path(__file__).parent), os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
    stages = [teachers, tuning, mends]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', WORK), stages, draw)
