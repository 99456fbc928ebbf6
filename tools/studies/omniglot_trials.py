"""What the Omniglot study trains."""

from collections.abc import Mapping
from pathlib import Path

from grid import Grid, Tuning, flat, taus

from mmkd.analysis.trials import Trial, Trials

WORK = Path('work_dirs/studies/omniglot')
METRIC = 'accuracy/top1'
SEEDS, TUNING_SEED = range(5), 10
STUDENT = 'configs/omniglot/resnet8half_20e_omniglot.py'
DISTILLED = 'configs/_base_/pairs/omniglot.py'

# The last three of the fourteen drawers of the training set: for tuning.
TUNING = {
    'train_dataloader.dataset.drawers': [*range(1, 12)],
    'val_dataloader.dataset.drawers': [*range(12, 15)],
}

KD = dict(type='mmkd.KDLoss')
LS = dict(standardize=True, schedule=dict(warmup=100))
BDD = dict(KD, divergence='mmkd.BalancedKL')
LEVELLED = dict(BDD, standardize=True, effective_tau=True)
CTKD = dict(type='mmkd.CTKDLoss', warmup=4, t_start=0.5)
DKD = dict(type='mmkd.DKDLoss', beta=8.0)
MLKD = dict(type='mmkd.MLKDLoss')
GRIDS = {
    'KD': Grid(KD, taus(1.0, 2.0, 4.0), (1.0, 4.0)),
    'KD+LS': Grid(dict(KD, **LS), taus(0.5, 1.0, 2.0), (3.0, 9.0)),
    'CTKD+LS': Grid(
        dict(CTKD, **LS),
        {f't_end {t:g}': {'t_end': t} for t in (2.0, 6.0, 20.0)},
        (3.0, 9.0),
    ),
    'DKD+LS': Grid(dict(DKD, **LS), taus(0.5, 1.0, 2.0), (3.0, 9.0)),
    'MLKD+LS': Grid(
        dict(MLKD, **LS),
        {
            f'tau {tau:g}': dict(tau=tau, taus=[tau * t for t in (1.5, 2.5, 1.0, 3.0)])
            for tau in (0.5, 1.0, 2.0)
        },
        (3.0, 9.0),
    ),
    'BDD': Grid(BDD, taus(1.0, 2.0, 4.0), (0.5, 2.0)),
    'BDD+LS': Grid(dict(BDD, **LS), taus(0.5, 1.0, 2.0), (1.5, 4.5)),
    'BDD+LS, levelled': Grid(LEVELLED, taus(0.5, 1.0, 2.0), (0.5, 2.0)),
}


def teacher(name: str, options: Mapping | None = None) -> Trial:
    """The teacher's training."""
    config = 'configs/omniglot/resnet20_40e_omniglot.py'
    return Trial('teachers', name, 0, config, options or {})


TEACHERS = {'methods': teacher('full'), 'tuning': teacher('tuning', TUNING)}


def teachers(trials: Trials) -> list[Trial]:
    """Both teachers; the tuning's has not seen what is held out."""
    return list(TEACHERS.values())


def alone(group: str, seed: int, options: Mapping | None = None) -> Trial:
    """The student without a teacher."""
    return Trial(group, 'alone', seed, STUDENT, options or {})


def distilled(
    group: str, name: str, seed: int, loss: Mapping, options: Mapping | None = None
) -> Trial:
    """A distillation."""
    checkpoint = TEACHERS[group].run(WORK).checkpoint
    every = {'model.teacher.checkpoint': str(checkpoint), **(options or {})}
    every |= flat(loss, 'model.distill_losses.loss')
    return Trial(group, name, seed, DISTILLED, every)


def tuning(trials: Trials) -> list[Trial]:
    """Six settings of each method, on what is held out of the training set."""
    return [alone('tuning', TUNING_SEED, TUNING)] + [
        distilled('tuning', name, TUNING_SEED, loss, TUNING)
        for method, grid in GRIDS.items()
        for name, loss in grid.cells(method).items()
    ]


def methods(trials: Trials) -> list[Trial]:
    """The comparison: each method at its best setting, on the test set."""
    tuned = Tuning(trials, GRIDS, METRIC)
    losses = {method: tuned.best(method) for method in GRIDS}
    return [
        trial
        for seed in SEEDS
        for trial in (
            alone('methods', seed),
            *(distilled('methods', m, seed, loss) for m, loss in losses.items()),
        )
    ]
