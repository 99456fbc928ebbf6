"""Trainings of the CamVid study in addition to the comparison."""

from collections.abc import Mapping
from pathlib import Path

from studies.camvid_400.methods import COMBINED, GRIDS, ShortPlan
from studies.camvid_plan import METRIC, TUNING, length_options
from studies.plan import TUNING_SEED
from studies.trials import Trial, Trials

TUNING_LENGTH = 200
FOLDER = Path('studies/camvid_400')
STUDENT, TEACHER = (str(FOLDER / f'{name}.py') for name in ('student', 'teacher'))
PLAN = ShortPlan(
    FOLDER,
    STUDENT,
    Trial('teachers', 'half', 0, TEACHER),
    Trial('teachers', 'half_tuning', 0, TEACHER, TUNING),
    GRIDS,
    METRIC,
    TUNING | length_options(TUNING_LENGTH),
    seeds=range(5),
    length=400,
)
SMALL_TEACHER = Trial(
    'teachers', 'quarter_tuning', 0, STUDENT, TUNING | length_options(1200)
)
# Weights beyond the grid, to find where each method fails.
HEAVY = {'KD': (16.0,), 'KD+LS': (64.0,)}
WITH_SGD = ('KD', 'BDD+LS', COMBINED)
SGD = {  # mmseg's settings for PSPNet, except for the learning rate
    'optim_wrapper.optimizer.type': 'SGD',
    'optim_wrapper.optimizer.lr': 0.02,
    'optim_wrapper.optimizer.momentum': 0.9,
    'optim_wrapper.optimizer.weight_decay': 0.0005,
}
RATES = 0.02, 0.1, 0.2  # learning rates of SGD, which is compared with AdamW


def two_losses(**schedule: int) -> dict:
    """Return forward and reverse KL as two losses; the second has a schedule."""
    forward = dict(type='KDLoss', standardize=True, tau=0.5, loss_weight=8.0)
    reverse = dict(forward, divergence='ReverseKL', schedule=schedule)
    return dict(forward, divergence='ForwardKL', added=reverse)


WARMUP, NO_WARMUP = dict(warmup=TUNING_LENGTH // 4), dict(warmup=0)
VARIANT = dict(type='studies.camvid_400.variants.KDVariant', divergence='BalancedKL')
VARIANT |= dict(tau=0.5, loss_weight=8.0, schedule=WARMUP)
# Differences of each variant from BDD+LS with tau 0.5 and weight 8.
VARIANTS = {
    'no warm-up': dict(schedule=NO_WARMUP),
    'std of the image': dict(over='image'),
    'times std(student) std(teacher)': dict(
        factor='both', schedule=NO_WARMUP, loss_weight=2.0
    ),
    'times std(student)^2': dict(factor='student', schedule=NO_WARMUP, loss_weight=2.0),
    'times confidence': dict(factor='confidence'),
    'balanced by the first class': dict(factor='class'),
    'balanced by the first class, weight 2': dict(factor='class', loss_weight=2.0),
    'balanced by probability': dict(factor='mass'),
    'reverse KL warmed up to the end': two_losses(warmup=TUNING_LENGTH),
    'reverse KL until halfway': two_losses(**WARMUP, stop=TUNING_LENGTH // 2),
}


def teachers(trials: Trials) -> list[Trial]:
    """Return the teachers of the comparison, and one of the student's size."""
    return [*PLAN.teachers(trials), SMALL_TEACHER]


def recipe(trials: Trials) -> list[Trial]:
    """Return the baseline with SGD, with the length of the comparison."""
    options = TUNING | length_options(PLAN.length) | SGD
    return [
        PLAN.baseline(
            'recipe',
            TUNING_SEED,
            options | {'optim_wrapper.optimizer.lr': rate},
            f'SGD at {rate:g}',
        )
        for rate in RATES
    ]


def variants(trials: Trials) -> list[Trial]:
    """Return variants of standardization per pixel, trained as in tuning."""
    return [
        PLAN.distill('variants', name, TUNING_SEED, VARIANT | changes, PLAN.held_out)
        for name, changes in VARIANTS.items()
    ]


def balanced(**arguments: float) -> dict:
    """Return a BalancedKL as an argument of a loss."""
    return {'divergence': dict(type='BalancedKL', **arguments)}


def ablation(trials: Trials) -> list[Trial]:
    """Return trainings with one change each, otherwise as in tuning."""
    found = []

    def add(
        name: str, loss: Mapping, options: Mapping = PLAN.held_out, **more: object
    ) -> None:
        arguments = name, TUNING_SEED, loss, options
        found.append(PLAN.distill('ablation', *arguments, **more))

    def add_baseline(name: str, options: Mapping) -> None:
        found.append(PLAN.baseline('ablation', TUNING_SEED, options, name))

    tuned = PLAN.tuned(trials)
    bdd_ls = tuned.best('BDD+LS')
    add_baseline('baseline, SGD', PLAN.held_out | SGD)
    for method in WITH_SGD:
        add(f'{method}, SGD', tuned.best(method), options=PLAN.held_out | SGD)
    for length in (400, 800):
        add_baseline(f'baseline, {length}', TUNING | length_options(length))
    add(f'{COMBINED}, 400', tuned.best(COMBINED), TUNING | length_options(400))
    for weight in (0.25, 4.0):
        add(f'reverse weight {weight:g}', bdd_ls | balanced(reverse_weight=weight))
    tau = 2 * bdd_ls['tau']
    add(f'reverse tau {tau:g}', bdd_ls | balanced(tau_reverse=tau))
    for method, weights in HEAVY.items():
        for weight in weights:
            loss = tuned.best(method) | {'loss_weight': weight}
            add(f'{method}, weight {weight:g}', loss)
    add('BDD+LS, full resolution', bdd_ls | {'resolution': 'label'})
    add(
        'BDD+LS, small teacher',
        bdd_ls,
        options=PLAN.held_out | {'teacher.config': PLAN.student},
        teacher=SMALL_TEACHER,
    )
    return found


STAGES = teachers, recipe, PLAN.tuning, variants, PLAN.methods, ablation
