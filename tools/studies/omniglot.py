"""The Omniglot study: every training and every number of docs/studies/omniglot.md

python tools/studies/omniglot.py --jobs 2

Trains what docs/studies/omniglot/trials.jsonl does not have yet, and writes it there; a
study that is stopped goes on where it was. The methods' settings come from the trials
of the group `tuning`, which see nothing of the test set. Then the page's tables and
figure are drawn anew; with --draw that is all.
"""

from pathlib import Path

from grid import Tuning
from omniglot_trials import GRIDS, METRIC, WORK, methods, teachers, tuning
from page import Page, comparison, dots, study

from mmkd.analysis.trials import Trials

PAGE = Page(Path('docs/studies/omniglot.md'))


def draw(trials: Trials) -> None:
    """Fills the page."""
    PAGE.fill('tuning', *Tuning(trials, GRIDS, METRIC).table())
    values = trials.values('methods', METRIC)
    order = ['alone', *GRIDS]
    values = {name: values[name] for name in order}
    names = dict(zip(order, order, strict=True))
    PAGE.fill('methods', *comparison(values, 'alone', names, 'top-1, %'))
    PAGE.save('methods', dots(values, names, 'top-1 accuracy on 936 test images, %'))


if __name__ == '__main__':
    stages = [teachers, tuning, methods]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', WORK), stages, draw)
