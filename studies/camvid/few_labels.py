"""Trainings with labels of a part of the images, and their table."""

from studies.camvid.plan import PLAN
from studies.camvid_plan import BASELINE, METRIC, length_options
from studies.comparison import comparison_table
from studies.trials import Trial, Trials

GROUP = 'few labels'
FRACTIONS = {'a tenth': 10, 'a quarter': 4}  # every n-th image has a label
LABELED = 'train_dataloader.dataset.every'
UNLABELED = 'unlabeled_dataloader.dataset.every'


def few_labels(trials: Trials) -> list[Trial]:
    """Return the trainings with few labels, at the middle length.

    Teachers have the same labels as their students, and no student uses other labels.
    """
    found = []
    for fraction, every in FRACTIONS.items():
        labeled = {LABELED: every}
        options = length_options(PLAN.lengths[1]) | labeled | PLAN.weights(trials)
        teacher = Trial(
            GROUP,
            f'{fraction}, teacher',
            0,
            PLAN.teacher.config,
            length_options(PLAN.lengths[1]) | labeled,
        )
        found.append(teacher)
        for seed in PLAN.seeds:
            name = f'{fraction}, {BASELINE}'
            found.append(PLAN.baseline(GROUP, seed, options, name))
            for method in PLAN.checked_methods(trials):
                name, loss = f'{fraction}, {method}', PLAN.tuned(trials).best(method)
                found += [
                    PLAN.distill(
                        GROUP, name, seed, loss, options, teacher, PLAN.untimed_config
                    ),
                    PLAN.distill(
                        GROUP,
                        f'{name}, with the rest',
                        seed,
                        loss,
                        options | {UNLABELED: every},
                        teacher,
                        'with_rest',
                    ),
                ]
    return found


def few_label_tables(trials: Trials) -> dict[str, tuple[list, list]]:
    """Return columns and rows of the table of each fraction."""
    values, tables = trials.values(GROUP, METRIC), {}
    for fraction in FRACTIONS:
        start = f'{fraction}, '
        found = {
            name.removeprefix(start): runs
            for name, runs in values.items()
            if name.startswith(start)
        }
        ordered = sorted(found, key=lambda name: (name != BASELINE, name))
        runs = {name: found[name] for name in ordered}
        tables[fraction] = comparison_table(runs, BASELINE, METRIC)
    return tables
