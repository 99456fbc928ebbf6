"""Ablation of the best single loss on the held-out images."""

from collections.abc import Sequence

from studies.camvid.plan import PLAN
from studies.camvid_plan import BASELINE, METRIC, WEIGHTED
from studies.grid import single_runs
from studies.plan import TUNING_SEED
from studies.trials import Trial, Trials

GROUP = 'ablation'
FULL = 'BDD+LS, SC, CB'
# Methods that are also tried with the class weights of the second baseline.
WITH_WEIGHTS = 'KD', 'KD, CB', FULL, 'CWD', 'DIST', 'KD, CB + CWD'


def ablation(trials: Trials) -> list[Trial]:
    """Return the trials, with the settings that the tuning chose."""
    tuned = PLAN.tuned(trials)
    full, weights = tuned.best(FULL), PLAN.best_weights(trials)
    return [
        distill('KD+LS, SC, CB', full | dict(divergence='ForwardKL')),
        distill('BDD+LS, SC', full | dict(class_balanced=False)),
        *(
            distill(f'{method}, class weights', tuned.best(method), weights)
            for method in WITH_WEIGHTS
        ),
    ]


def distill(name: str, loss: dict, options: dict | None = None) -> Trial:
    """Return a distillation on the images of the tuning."""
    every = {**PLAN.held_out, **(options or {})}
    return PLAN.distill(GROUP, name, TUNING_SEED, loss, every)


def ablation_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table, with the difference to the baseline."""
    tuned = PLAN.tuned(trials)
    alone = single_runs(trials, 'pair', METRIC)[str(PLAN.lengths[1])]
    names = 'KD', 'KD, CB', 'BDD+LS', FULL
    compared = {name: tuned.scores[tuned.chosen(name)] for name in names}
    compared |= single_runs(trials, GROUP, METRIC)
    weighted = max(single_runs(trials, 'weighting', METRIC).values())
    compared = {WEIGHTED: weighted, **compared}
    rows: list[Sequence] = [[BASELINE, f'{alone:.2f}', '']]
    rows += [[name, f'{v:.2f}', f'{v - alone:+.2f}'] for name, v in compared.items()]
    return ['training', METRIC, 'difference'], rows
