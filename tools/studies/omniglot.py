"""The Omniglot study: every training of docs/studies/omniglot.md

python tools/studies/omniglot.py --jobs 2

Trains what docs/studies/omniglot/trials.jsonl does not have yet, and writes it there; a
study that is stopped goes on where it was. Then the page's table and figure are drawn
anew. The configs are those of configs/*/*_omniglot.py as they stand.
"""

from pathlib import Path

from page import Page, comparison, dots, study

from mmkd.analysis.trials import Trial, Trials

WORK = Path('work_dirs/studies/omniglot')
PAGE = Page(Path('docs/studies/omniglot.md'))
TEACHER = Trial('teachers', 'resnet20', 0, 'configs/omniglot/resnet20_40e_omniglot.py')
CONFIGS = {
    'alone': 'omniglot/resnet8half_20e_omniglot.py',
    'KD': 'kd/kd_omniglot.py',
    'KD+LS': 'lskd/lskd_omniglot.py',
    'CTKD+LS': 'ctkd/ctkd-ls_omniglot.py',
    'DKD+LS': 'dkd/dkd-ls_omniglot.py',
    'MLKD+LS': 'mlkd/mlkd-ls_omniglot.py',
    'BDD': 'bdd/bdd_omniglot.py',
    'BDD+LS': 'bdd_ls/bdd-ls_omniglot.py',
}
SEEDS = range(5)
METRIC = 'accuracy/top1'


def methods(trials: Trials) -> list[Trial]:
    """Each method with each seed, from one teacher."""
    teacher = {'model.teacher.checkpoint': str(TEACHER.run(WORK).checkpoint)}
    return [
        Trial(
            'methods', name, seed, f'configs/{path}', {} if name == 'alone' else teacher
        )
        for seed in SEEDS
        for name, path in CONFIGS.items()
    ]


def draw(trials: Trials) -> None:
    """Fills the page."""
    values = trials.values('methods', METRIC)
    values = {name: values[name] for name in CONFIGS}
    names = dict(zip(CONFIGS, CONFIGS, strict=True))
    PAGE.fill('methods', *comparison(values, 'alone', names, 'top-1, %'))
    PAGE.save('methods', dots(values, names, 'top-1 accuracy on 936 test images, %'))


if __name__ == '__main__':
    stages = [lambda trials: [TEACHER], methods]
    study(__doc__, Trials(PAGE.folder / 'trials.jsonl', WORK), stages, draw)
