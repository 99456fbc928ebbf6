"""KD from a teacher that is trained with as many images as its students."""

from studies.camvid.plan import PLAN
from studies.camvid_page import equal_time
from studies.camvid_plan import BASELINE, METRIC, TUNING, group_of, length_options
from studies.comparison import comparison_table
from studies.trials import Trial, Trials

GROUP = 'all images'
METHOD = 'KD'


def all_images(trials: Trials) -> list[Trial]:
    """Return the trainings of this teacher and of its students, of the largest length.

    The teacher of the comparison is trained without the held-out images.
    """
    options = {k: v for k, v in PLAN.teacher.options.items() if k not in TUNING}
    teacher = Trial(GROUP, 'teacher', 0, PLAN.teacher.config, options)
    loss = PLAN.tuned(trials).best(METHOD)
    options = length_options(PLAN.lengths[-1]) | PLAN.weights(trials)
    return [teacher] + [
        PLAN.distill(GROUP, METHOD, seed, loss, options, teacher, PLAN.untimed_config)
        for seed in PLAN.seeds
    ]


def all_images_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of this teacher and of its students."""
    runs, length = trials.of(GROUP), PLAN.lengths[-1]
    short, long = (trials.of(group_of(n))[BASELINE] for n in (length, 2 * length))
    columns, rows = equal_time(trials).table(
        {**runs, BASELINE: short}, {BASELINE: long}, [METHOD]
    )
    level = f'{runs["teacher"][0]["metrics"][METRIC]:.2f}'
    teacher = ['teacher', '1', level]
    return columns, [*rows, [*teacher, *['-'] * (len(columns) - len(teacher))]]


def teachers_table(trials: Trials) -> tuple[list, list]:
    """Return columns and rows of the table of the same method from two teachers."""
    groups = {'that of the comparison': group_of(PLAN.lengths[-1]), 'all images': GROUP}
    values = {
        teacher: trials.values(group, METRIC)[METHOD]
        for teacher, group in groups.items()
    }
    (_, *columns), rows = comparison_table(values, next(iter(groups)), METRIC)
    return ['teacher', *columns], rows
