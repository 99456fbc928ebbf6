"""Methods, settings and tables shared by both CamVid studies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from .comparison import draw_comparison
from .grid import Grid, taus
from .page import Page
from .plan import Plan
from .trials import Trial, Trials

METRIC = 'mIoU'
# Held-out images for tuning: the last sixth of each of the three training sequences.
HELD_OUT = [*range(52, 62), *range(146, 163), *range(333, 367)]
TUNING = {
    'train_dataloader.dataset.indices': [i for i in range(367) if i not in HELD_OUT],
    'val_dataloader.dataset.indices': HELD_OUT,
    'val_dataloader.dataset.data_prefix.img_path': 'train',
    'val_dataloader.dataset.data_prefix.seg_map_path': 'trainannot',
}

KD, LS = dict(type='KDLoss'), dict(standardize=True)
BDD = dict(KD, divergence='BalancedKL')
SC_CB = dict(BDD, **LS, scale_compensated=True, class_balanced=True)
CWD = dict(type='CWDLoss')
ADDED = dict(added=dict(CWD, tau=0.5, loss_weight=3.0))
DKD = dict(type='DKDLoss', beta=1.0)
COMBINED = 'BDD+LS, SC, CB, CWD'
LOW, HIGH = taus(0.25, 0.5, 1.0), taus(0.5, 1.0, 2.0)
GRIDS = {
    'KD': Grid(KD, HIGH, (1.0, 4.0)),
    'KD+LS': Grid(dict(KD, **LS), LOW, (4.0, 16.0)),
    'BDD': Grid(BDD, HIGH, (0.5, 2.0)),
    'BDD+LS': Grid(dict(BDD, **LS), LOW, (2.0, 8.0)),
    'BDD+LS, SC, CB': Grid(SC_CB, LOW, (1.0, 4.0)),
    COMBINED: Grid(dict(SC_CB, **ADDED), LOW, (1.0, 4.0)),
    'DKD+LS': Grid(dict(DKD, **LS), LOW, (4.0, 16.0)),
    'CWD': Grid(CWD, taus(0.5, 1.0, 4.0), (3.0, 12.0)),
    'DIST': Grid(dict(type='DISTLoss', eps=0.0), HIGH, (1.0, 4.0)),
}


def length_options(length: int) -> dict:
    """Return the options for a number of iterations."""
    return {
        'train_cfg.max_iters': length,
        'train_cfg.val_interval': length,
        'param_scheduler.1.end': length,
    }


@dataclass(frozen=True)
class CamVidPlan(Plan):
    """Plan of a CamVid study.

    Args:
        length: Number of iterations of a student.
    """

    length: int

    def losses(self, loss: Mapping, options: Mapping) -> dict[str, dict]:
        """Return one or two losses.

        A standardized loss without scale compensation has a warm-up over the first
        quarter of the iterations.
        """
        loss = dict(loss)
        losses = {'loss': loss}
        if 'added' in loss:
            losses['loss_added'] = loss.pop('added')
        if loss.get('standardize') and not loss.get('scale_compensated'):
            length = options.get('train_cfg.max_iters', self.length)
            loss.setdefault('schedule', dict(warmup=length // 4))
        return losses


def teacher_training(
    folder: Path, name: str, options: Mapping | None = None, config: str = 'teacher'
) -> Trial:
    """Return the training of a teacher."""
    return Trial('teachers', name, 0, str(folder / f'{config}.py'), options or {})


def camvid_plan(
    name: str, teacher: str, length: int, tuning_length: int, seeds: range
) -> CamVidPlan:
    """Return the plan for the networks of a study's folder.

    Args:
        name: Name of the folder.
        teacher: Name of the teacher.
        length: Number of iterations of a student.
        tuning_length: Number of iterations of a student in tuning.
        seeds: Seeds of the comparison.
    """
    folder = Path('studies', name)
    return CamVidPlan(
        folder,
        str(folder / 'student.py'),
        teacher_training(folder, teacher),
        teacher_training(folder, f'{teacher}_tuning', TUNING),
        GRIDS,
        METRIC,
        TUNING | length_options(tuning_length),
        seeds,
        length,
    )


def draw_camvid_comparison(page: Page, trials: Trials, plan: CamVidPlan) -> None:
    """Insert settings, comparison, classes and fidelity into the page."""
    axis = 'mIoU on the 101 validation images'
    draw_comparison(page, trials, plan, COMBINED, METRIC, axis)
    page.fill('classes', *class_table(trials, ['baseline', *GRIDS]))


def class_table(trials: Trials, methods: Sequence[str]) -> tuple[list, list]:
    """Return columns and rows of the table of mean IoUs of each class."""
    runs = trials.of('methods')
    classes = list(next(iter(runs['baseline'].values()))['classes'])
    rows = []
    for name in classes:
        per_method = ([r['classes'][name] for r in runs[m].values()] for m in methods)
        rows.append([name, *(f'{mean(values):.1f}' for values in per_method)])
    return ['class', *methods], rows
