"""Trainings of the Omniglot study."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from studies.grid import Grid, taus
from studies.plan import TUNING_SEED, Plan
from studies.trials import Trial, Trials

METRIC = 'accuracy/top1'

# Held-out data for tuning: the last three of the fourteen drawers of the training set.
TUNING = {
    'train_dataloader.dataset.drawers': [*range(1, 12)],
    'val_dataloader.dataset.drawers': [*range(12, 15)],
}

KD, WARMUP = dict(type='KDLoss'), dict(schedule=dict(warmup=400))
LS = dict(WARMUP, standardize=True)
BDD = dict(KD, divergence='BalancedKL')
SC = dict(BDD, standardize=True, scale_compensated=True)
CTKD = dict(type='CTKDLoss', warmup=4, t_start=0.5)
DKD = dict(type='DKDLoss', beta=8.0)
MLKD = dict(type='MLKDLoss')
GRIDS = {
    'KD': Grid(KD, taus(2.0, 4.0), (1.0, 3.0, 9.0)),
    'KD+LS': Grid(dict(KD, **LS), taus(1.0, 2.0), (3.0, 9.0, 27.0)),
    'CTKD+LS': Grid(
        dict(CTKD, **LS),
        {f'0.5 to {t + 0.5:g}': {'t_end': t} for t in (6.0, 20.0)},
        (3.0, 9.0, 27.0),
    ),
    'DKD+LS': Grid(dict(DKD, **LS), taus(1.0, 2.0), (3.0, 9.0, 27.0)),
    'MLKD+LS': Grid(
        dict(MLKD, **LS),
        {
            # In the ratios of the paper's 3, 5, 2 and 6 to the 2 of LSKD.
            f'{tau:g}': dict(tau=tau, taus=[tau * t for t in (1.5, 2.5, 1.0, 3.0)])
            for tau in (1.0, 2.0)
        },
        (3.0, 9.0, 27.0),
    ),
    'BDD': Grid(BDD, taus(2.0, 4.0), (0.5, 1.5, 4.5)),
    'BDD+LS': Grid(dict(BDD, **LS), taus(1.0, 2.0), (1.5, 4.5, 13.5)),
    'BDD+LS, SC': Grid(SC, taus(1.0, 2.0), (0.15, 0.5, 1.5)),
}

BASELINE = 'baseline'
LENGTHS = 40, 80  # epochs, also compared
COMPARED = 'KD', 'KD+LS', 'BDD', 'BDD+LS', 'BDD+LS, SC'  # at these lengths
LENGTH_SEEDS = range(3)
BATCH_SIZES = 64, 32
WITH_WARMUP = 'KD', 'BDD'  # also trained with the largest weight and a warm-up
LONGER = ('KD', 'KD+LS', 'BDD+LS')  # also trained for twice the length, held-out data


def teacher(name: str, options: Mapping) -> Trial:
    """Return the training of a teacher."""
    config = 'configs/omniglot/resnet20_40e_omniglot.py'
    return Trial('teachers', name, 0, config, options)


PLAN = Plan(
    Path('studies/omniglot'),
    'configs/omniglot/resnet8half_20e_omniglot.py',
    teacher('full', {}),
    teacher('tuning', TUNING),
    GRIDS,
    METRIC,
    TUNING,
    seeds=range(5),
)


def length_options(epochs: int) -> dict:
    """Return the options for a number of epochs."""
    keys = 'train_cfg.max_epochs', 'train_cfg.val_interval', 'param_scheduler.T_max'
    return dict.fromkeys(keys, epochs)


def group_of(epochs: int) -> str:
    """Return the group of the trials of the comparison after more epochs."""
    return f'{epochs} epochs'


def recipe(trials: Trials) -> list[Trial]:
    """Return the baseline with batch sizes other than that of its config."""
    return [
        PLAN.baseline(
            'recipe',
            TUNING_SEED,
            TUNING | {'train_dataloader.batch_size': size},
            str(size),
        )
        for size in BATCH_SIZES
    ]


def with_warmup(trials: Trials) -> list[Trial]:
    """Return plain losses at their largest weight with the warm-up of LS."""
    return [
        PLAN.distill('warmup', name, TUNING_SEED, loss | WARMUP, TUNING)
        for method in WITH_WARMUP
        for name, loss in GRIDS[method].cells(method).items()
        if loss['loss_weight'] == max(GRIDS[method].weights)
    ]


def longer(trials: Trials) -> list[Trial]:
    """Return trainings of twice the length with the settings of tuning."""
    tuned, options = PLAN.tuned(trials), TUNING | length_options(40)
    return [PLAN.baseline('longer', TUNING_SEED, options)] + [
        PLAN.distill('longer', method, TUNING_SEED, tuned.best(method), options)
        for method in LONGER
    ]


def lengths(trials: Trials) -> list[Trial]:
    """Return the comparison after more epochs, with the settings of tuning."""
    tuned, found = PLAN.tuned(trials), []
    for seed, epochs in product(LENGTH_SEEDS, LENGTHS):
        group, options = group_of(epochs), length_options(epochs)
        found.append(PLAN.baseline(group, seed, options))
        found += [
            PLAN.distill(group, method, seed, tuned.best(method), options, PLAN.teacher)
            for method in COMPARED
        ]
    return found


STAGES = (
    PLAN.teachers,
    recipe,
    PLAN.tuning,
    PLAN.methods,
    with_warmup,
    longer,
    lengths,
)
