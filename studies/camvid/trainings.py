"""What the study of small networks trains beside the comparison."""

from collections.abc import Mapping

from studies.camvid_plan import MAIN, TUNING, length_options, scale, teacher_of
from studies.plan import TUNING_SEED

from studies.trials import Trial, Trials

TUNING_LENGTH = 200
SMALL = scale('camvid', 'half', 400, TUNING_LENGTH, seeds=range(5))
SMALL_TEACHER = teacher_of(
    'camvid', 'quarter_tuning', TUNING | length_options(1200), config='student'
)
# Weights beyond the grid, to see where each method breaks.
HEAVY = {'KD': (16.0,), 'KD+LS': (64.0,)}
SLOW = ('KD', 'BDD+LS', MAIN)  # trained with SGD, too
SGD = {  # as mmseg trains PSPNet, but for the learning rate of this batch size
    'optim_wrapper.optimizer.type': 'SGD',
    'optim_wrapper.optimizer.lr': 0.02,
    'optim_wrapper.optimizer.momentum': 0.9,
    'optim_wrapper.optimizer.weight_decay': 0.0005,
}


def two_halves(**schedule: int) -> dict:
    """Forward and reverse KL as two losses, the second with its own schedule."""
    half = dict(type='mmkd.KDLoss', standardize=True, tau=0.5, loss_weight=8.0)
    reverse = dict(half, divergence='mmkd.ReverseKL', schedule=schedule)
    return dict(half, divergence='mmkd.ForwardKL', beside=reverse)


RATES = 0.02, 0.1, 0.2  # of SGD; AdamW was chosen over it
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
    'the reverse half grows to the end': two_halves(warmup=TUNING_LENGTH),
    'the reverse half ends halfway': two_halves(
        warmup=TUNING_LENGTH // 4, stop=TUNING_LENGTH // 2
    ),
}


def teachers(trials: Trials) -> list[Trial]:
    """Those of the comparison, and one as small as the student."""
    return [*SMALL.teachers(trials), SMALL_TEACHER]


def recipe(trials: Trials) -> list[Trial]:
    """The student alone with SGD, as long as in the comparison."""
    options = TUNING | length_options(SMALL.length) | SGD
    return [
        SMALL.alone(
            'recipe',
            TUNING_SEED,
            options | {'optim_wrapper.optimizer.lr': rate},
            f'SGD at {rate:g}',
        )
        for rate in RATES
    ]


def mends(trials: Trials) -> list[Trial]:
    """What standardising at each pixel could be replaced by, trained as in tuning."""
    return [
        SMALL.distil(
            'mends',
            name,
            TUNING_SEED,
            VARIANT | changes,
            SMALL.held_out,
            config='tools/studies/variant_config.py',
        )
        for name, changes in MENDS.items()
    ]


def balanced(**arguments: float) -> dict:
    """A divergence of both halves."""
    return {'divergence': dict(type='mmkd.BalancedKL', **arguments)}


def drivers(trials: Trials) -> list[Trial]:
    """One thing changed at a time, trained as in tuning."""
    found = []

    def add(
        name: str, loss: Mapping, options: Mapping = SMALL.held_out, **more: object
    ) -> None:
        arguments = name, TUNING_SEED, loss, options
        found.append(SMALL.distil('drivers', *arguments, **more))

    tuned = SMALL.tuned(trials)
    main = tuned.best('BDD+LS')
    found.append(
        SMALL.alone('drivers', TUNING_SEED, SMALL.held_out | SGD, 'alone, SGD')
    )
    for method in SLOW:
        add(f'{method}, SGD', tuned.best(method), options=SMALL.held_out | SGD)
    for length in (400, 800):
        options = TUNING | length_options(length)
        found.append(SMALL.alone('drivers', TUNING_SEED, options, f'alone, {length}'))
    add(f'{MAIN}, 400', tuned.best(MAIN), TUNING | length_options(400))
    for weight in (0.25, 4.0):
        add(f'reverse weight {weight:g}', main | balanced(reverse_weight=weight))
    tau = 2 * main['tau']
    add(f'reverse tau {tau:g}', main | balanced(tau_reverse=tau))
    for method, weights in HEAVY.items():
        for weight in weights:
            loss = tuned.best(method) | {'loss_weight': weight}
            add(f'{method}, weight {weight:g}', loss)
    add('BDD+LS, full resolution', main | {'resolution': 'label'})
    student = {'model.teacher.config': SMALL.student}
    add(
        'BDD+LS, small teacher',
        main,
        options=SMALL.held_out | student,
        teacher=SMALL_TEACHER,
    )
    return found
