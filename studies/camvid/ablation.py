"""What a part of the best single loss contributes, on the held-out images."""

from collections.abc import Sequence

from studies.camvid.plan import PLAN
from studies.camvid_plan import METRIC
from studies.grid import single_runs
from studies.plan import TUNING_SEED
from studies.trials import Trial, Trials

GROUP = 'ablation'
FULL = 'BDD+LS, SC, CB'
# Median frequency balancing (SegNet, arXiv 1511.00561, section 3.2) of the training
# images: the median of the frequencies, divided by each of them. The frequency of a
# class is its share of the pixels of those images that contain it.
MEDIAN_FREQUENCY = (
    *(0.2793, 0.2017, 4.7865, 0.1490, 1.0000, 0.4217),
    *(3.8467, 1.9736, 0.7889, 6.3747, 8.8587),
)
CLASS_WEIGHT = 'model.decode_head.loss_decode.class_weight'


def class_weights(power: float) -> dict[str, list[float]]:
    """Return the option for class weights in the cross entropy.

    Args:
        power: Exponent of the weights; 0.5 balances less than 1.
    """
    return {CLASS_WEIGHT: [round(weight**power, 4) for weight in MEDIAN_FREQUENCY]}


def ablation(trials: Trials) -> list[Trial]:
    """Return the trials, each with the tuned setting of the complete method."""
    tuned = PLAN.tuned(trials)
    full, kd = tuned.best(FULL), tuned.best('KD')
    return [
        baseline('baseline, class weights', class_weights(1)),
        baseline('baseline, square roots of them', class_weights(0.5)),
        distill('KD, CB', kd | dict(class_balanced=True)),
        distill('KD+LS, SC, CB', full | dict(divergence='ForwardKL')),
        distill('BDD+LS, SC', full | dict(class_balanced=False)),
        distill(f'{FULL}, class weights', full, class_weights(1)),
    ]


def baseline(name: str, options: dict) -> Trial:
    """Return a baseline on the images of the tuning."""
    return PLAN.baseline(GROUP, TUNING_SEED, {**PLAN.held_out, **options}, name)


def distill(name: str, loss: dict, options: dict | None = None) -> Trial:
    """Return a distillation on the images of the tuning."""
    every = {**PLAN.held_out, **(options or {})}
    return PLAN.distill(GROUP, name, TUNING_SEED, loss, every)


def ablation_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table, with the difference to the baseline."""
    tuned = PLAN.tuned(trials)
    alone = single_runs(trials, 'pair', METRIC)[str(PLAN.lengths[1])]
    compared = {'KD': tuned.scores[tuned.chosen('KD')]}
    compared |= single_runs(trials, GROUP, METRIC)
    compared[FULL] = tuned.scores[tuned.chosen(FULL)]
    rows: list[Sequence] = [['baseline', f'{alone:.2f}', '']]
    rows += [[name, f'{v:.2f}', f'{v - alone:+.2f}'] for name, v in compared.items()]
    return ['training', METRIC, 'difference'], rows
