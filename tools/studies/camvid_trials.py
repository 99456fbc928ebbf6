"""What the CamVid study trains."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from mmkd.analysis.trials import Trial, Trials

CONFIGS = Path('configs/studies/camvid')
WORK = Path('work_dirs/studies/camvid')
METRIC = 'mIoU'
LENGTH, SEEDS = 400, range(3)

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
LEVELLED = dict(effective_tau=True, balance_classes=True)
BDD = dict(KD, divergence='mmkd.BalancedKL')
DKD = dict(type='mmkd.DKDLoss', beta=1.0)
CWD = dict(type='mmkd.CWDLoss')
MAIN = 'levelled, and CWD'  # the main recipe
# Weights beyond the grid, to see where each method breaks.
HEAVY = {'KD': (16.0,), 'KD+LS': (64.0,)}
SLOW = ('KD', 'BDD+LS', MAIN)  # trained with SGD, too
SGD = {  # as mmseg trains PSPNet, but for the learning rate of this batch size
    'optim_wrapper.optimizer.type': 'SGD',
    'optim_wrapper.optimizer.lr': 0.02,
    'optim_wrapper.optimizer.momentum': 0.9,
    'optim_wrapper.optimizer.weight_decay': 0.0005,
}
# Of each method: its loss, and the grid of temperatures and weights.
METHODS = {
    'KD': (KD, (0.5, 1.0, 2.0), (1.0, 4.0)),
    'KD+LS': (dict(KD, **LS), (0.25, 0.5, 1.0), (4.0, 16.0)),
    'BDD': (BDD, (0.5, 1.0, 2.0), (0.5, 2.0)),
    'BDD+LS': (dict(BDD, **LS), (0.25, 0.5, 1.0), (2.0, 8.0)),
    'BDD+LS, levelled': (dict(BDD, **LS, **LEVELLED), (0.25, 0.5, 1.0), (1.0, 4.0)),
    'levelled, and CWD': (
        dict(BDD, **LS, **LEVELLED, beside=dict(CWD, tau=0.5, loss_weight=3.0)),
        (0.25, 0.5, 1.0),
        (1.0, 4.0),
    ),
    'DKD+LS': (dict(DKD, **LS), (0.25, 0.5, 1.0), (4.0, 16.0)),
    'CWD': (CWD, (0.5, 1.0, 4.0), (3.0, 12.0)),
    'DIST': (dict(type='mmkd.DISTLoss'), (0.5, 1.0, 2.0), (1.0, 4.0)),
}


def length_options(length: int) -> dict:
    """How long to train."""
    return {
        'train_cfg.max_iters': length,
        'train_cfg.val_interval': length,
        'param_scheduler.1.end': length,
    }


def trained(name: str, options: Mapping | None = None) -> Trial:
    """A teacher's training."""
    config = 'teacher.py' if name.startswith('half') else 'student.py'
    return Trial('teachers', name, 0, str(CONFIGS / config), options or {})


TEACHERS = {
    'half': trained('half'),
    'half_tuning': trained('half_tuning', TUNING),
    'quarter_tuning': trained('quarter_tuning', TUNING | length_options(1200)),
}


def teachers(trials: Trials) -> list[Trial]:
    """Those that the others learn from; the tuning's has not seen what is held out."""
    return list(TEACHERS.values())


def alone(
    group: str, seed: int, options: Mapping | None = None, name: str = 'alone'
) -> Trial:
    """The student without a teacher."""
    return Trial(group, name, seed, str(CONFIGS / 'student.py'), options or {})


def distilled(
    group: str,
    method: str,
    seed: int,
    loss: Mapping,
    teacher: str = 'half',
    length: int = LENGTH,
    options: Mapping | None = None,
    config: str = str(CONFIGS / 'distilled.py'),
) -> Trial:
    """A distillation; the weight of a standardised loss is warmed up by default."""
    loss = dict(loss)
    losses = {'loss': loss}
    if 'beside' in loss:
        losses['loss_beside'] = loss.pop('beside')
    if loss.get('standardize') and not loss.get('effective_tau'):
        loss.setdefault('schedule', dict(warmup=length // 4))
    checkpoint = TEACHERS[teacher].run(WORK).checkpoint
    every = {'model.teacher.checkpoint': str(checkpoint), **(options or {})}
    if not teacher.startswith('half'):
        every['model.teacher.config'] = str(CONFIGS / 'student.py')
    every |= flat(losses, 'model.distill_losses')
    return Trial(group, method, seed, config, every)


def flat(config: Mapping, place: str) -> dict:
    """A nested config as overrides of what is at a place."""
    found = {}
    for key, value in config.items():
        here = f'{place}.{key}'
        found |= flat(value, here) if isinstance(value, dict) else {here: value}
    return found


SHORT = TUNING | length_options(TUNING_LENGTH)


def balanced(**arguments: float) -> dict:
    """A divergence of both halves."""
    return {'divergence': dict(type='mmkd.BalancedKL', **arguments)}


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
    common = dict(teacher='half_tuning', length=TUNING_LENGTH, options=SHORT)
    return [alone('tuning', TUNING_SEED, SHORT)] + [
        distilled('tuning', name, TUNING_SEED, loss, **common)
        for method in METHODS
        for name, loss in cells(method).items()
    ]


WARM, COLD = dict(warmup=TUNING_LENGTH // 4), dict(warmup=0)
VARIANT = dict(type='mmkd.KDVariant', divergence='mmkd.BalancedKL', tau=0.5)
VARIANT |= dict(loss_weight=8.0, schedule=WARM)
# Of each mend: how it differs from BDD+LS at tau 0.5 and weight 8.
MENDS = {
    'no warm-up': dict(schedule=COLD),
    'per image': dict(over='image'),
    'times s(student) s(teacher)': dict(factor='both', schedule=COLD, loss_weight=2.0),
    'times s(student)^2': dict(factor='student', schedule=COLD, loss_weight=2.0),
    'times confidence': dict(factor='confidence'),
    'classes weigh the same': dict(factor='class'),
    'classes weigh the same, weight 2': dict(factor='class', loss_weight=2.0),
    "classes' mass weighs the same": dict(factor='mass'),
}


def mends(trials: Trials) -> list[Trial]:
    """What standardising at each pixel could be replaced by, trained as in tuning."""
    return [
        distilled(
            'mends',
            name,
            TUNING_SEED,
            VARIANT | changes,
            'half_tuning',
            options=SHORT,
            config='tools/studies/variant_config.py',
        )
        for name, changes in MENDS.items()
    ]


def best(trials: Trials, method: str) -> dict:
    """The loss that tuning has found for a method."""
    found, grid = trials.values('tuning', METRIC), cells(method)
    return grid[max(grid, key=lambda name: found[name][TUNING_SEED])]


def methods(trials: Trials) -> list[Trial]:
    """The comparison: each method at its best setting, on the validation set."""
    losses = {method: best(trials, method) for method in METHODS}
    return [
        trial
        for seed in SEEDS
        for trial in (
            alone('methods', seed),
            *(distilled('methods', m, seed, loss) for m, loss in losses.items()),
        )
    ]


def drivers(trials: Trials) -> list[Trial]:
    """One thing changed at a time, trained as in tuning."""
    found = []

    def add(name: str, loss: Mapping, **more: object) -> None:
        more = dict(teacher='half_tuning', length=TUNING_LENGTH, options=SHORT) | more
        found.append(distilled('drivers', name, TUNING_SEED, loss, **more))

    chosen = {method: best(trials, method) for method in METHODS}
    main = chosen['BDD+LS']
    found.append(alone('drivers', TUNING_SEED, SHORT | SGD, 'alone, SGD'))
    for method in SLOW:
        add(f'{method}, SGD', chosen[method], options=SHORT | SGD)
    for length in (400, 800):
        options = TUNING | length_options(length)
        found.append(alone('drivers', TUNING_SEED, options, f'alone, {length}'))
        if length < 800:
            more = dict(length=length, options=options)
            add(f'{MAIN}, {length}', chosen[MAIN], **more)
    for weight in (0.25, 4.0):
        add(f'reverse weight {weight:g}', main | balanced(reverse_weight=weight))
    tau = 2 * main['tau']
    add(f'reverse tau {tau:g}', main | balanced(tau_reverse=tau))
    for method, weights in HEAVY.items():
        for weight in weights:
            loss = chosen[method] | {'loss_weight': weight}
            add(f'{method}, weight {weight:g}', loss)
    add('BDD+LS, full resolution', main | {'resolution': 'label'})
    add('BDD+LS, small teacher', main, teacher='quarter_tuning')
    return found
