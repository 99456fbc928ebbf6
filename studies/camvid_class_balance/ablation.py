"""Ablation of a method with all parts: balance divergence, LS, SC and CB."""

from collections.abc import Sequence

from studies.camvid_class_balance.plan import PLAN
from studies.camvid_plan import BASELINE, METRIC
from studies.grid import single_runs
from studies.plan import TUNING_SEED
from studies.trials import Trial, Trials

GROUP = 'ablation'
FULL = 'BDD+LS, SC, CB'


def ablation(trials: Trials) -> list[Trial]:
    """Return the trials, with the setting that the tuning chose."""
    full = PLAN.tuned(trials).best(FULL)
    return [
        PLAN.distill(GROUP, name, TUNING_SEED, full | change, PLAN.held_out)
        for name, change in (
            ('KD+LS, SC, CB', dict(divergence='ForwardKL')),
            ('BDD+LS, SC', dict(class_balanced=False)),
        )
    ]


def ablation_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table, with the difference to the baseline."""
    tuned = PLAN.tuned(trials)
    alone = single_runs(trials, 'pair', METRIC)[str(PLAN.lengths[1])]
    weighted = max(single_runs(trials, 'weighting', METRIC).values())
    compared = {f'{BASELINE}, class weights': weighted}
    for name in 'KD', 'KD, CB', 'BDD+LS', FULL:
        compared[name] = tuned.scores[tuned.chosen(name)]
    compared |= single_runs(trials, GROUP, METRIC)
    rows: list[Sequence] = [[BASELINE, f'{alone:.2f}', '']]
    rows += [[name, f'{v:.2f}', f'{v - alone:+.2f}'] for name, v in compared.items()]
    return ['training', METRIC, 'difference'], rows
