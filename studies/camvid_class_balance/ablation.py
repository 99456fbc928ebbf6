"""Ablation of a method with all parts: balance divergence, LS, SC and CB."""

from collections.abc import Sequence

from studies.camvid_class_balance.plan import PLAN
from studies.camvid_plan import BASELINE, METRIC
from studies.grid import single_runs
from studies.plan import TUNING_SEED
from studies.trials import Trial, Trials

GROUP = 'ablation'
FULL = 'BDD+LS, SC, CB'
CLASS_WEIGHTS = f'{BASELINE}, class weights'


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


def compared_scores(trials: Trials) -> tuple[float, dict[str, float]]:
    """Return the baseline's metric, and that of every method's best setting."""
    alone = single_runs(trials, 'pair', METRIC)[str(PLAN.lengths[1])]
    weighted = max(single_runs(trials, 'weighting', METRIC).values())
    tuned = PLAN.tuned(trials)
    scores = {method: tuned.scores[tuned.chosen(method)] for method in PLAN.grids}
    return alone, {CLASS_WEIGHTS: weighted, **scores}


def ablation_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table, with the difference to the baseline."""
    alone, scores = compared_scores(trials)
    names = CLASS_WEIGHTS, 'KD', 'KD, CB', 'BDD+LS', FULL
    compared = {name: scores[name] for name in names}
    compared |= single_runs(trials, GROUP, METRIC)
    rows: list[Sequence] = [[BASELINE, f'{alone:.2f}', '']]
    rows += [[name, f'{v:.2f}', f'{v - alone:+.2f}'] for name, v in compared.items()]
    return ['training', METRIC, 'difference'], rows
