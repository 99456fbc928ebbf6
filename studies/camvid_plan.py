"""What a CamVid study trains, whatever the size of its networks."""

from collections.abc import Mapping
from dataclasses import dataclass

from studies.grid import Grid, taus
from studies.plan import Plan

from studies.trials import Trial

METRIC = 'mIoU'
# The last sixth of each of the three films of the training set: for tuning.
HELD_OUT = [*range(52, 62), *range(146, 163), *range(333, 367)]
TUNING = {
    'train_dataloader.dataset.indices': [i for i in range(367) if i not in HELD_OUT],
    'val_dataloader.dataset.indices': HELD_OUT,
    'val_dataloader.dataset.data_prefix.img_path': 'train',
    'val_dataloader.dataset.data_prefix.seg_map_path': 'trainannot',
}

KD, LS = dict(type='mmkd.KDLoss'), dict(standardize=True)
BDD = dict(KD, divergence='mmkd.BalancedKL')
LEVELLED = dict(BDD, **LS, effective_tau=True, balance_classes=True)
CWD = dict(type='mmkd.CWDLoss')
BESIDE = dict(beside=dict(CWD, tau=0.5, loss_weight=3.0))
DKD = dict(type='mmkd.DKDLoss', beta=1.0)
MAIN = 'levelled, and CWD'  # the main recipe
LOW, HIGH = taus(0.25, 0.5, 1.0), taus(0.5, 1.0, 2.0)
GRIDS = {
    'KD': Grid(KD, HIGH, (1.0, 4.0)),
    'KD+LS': Grid(dict(KD, **LS), LOW, (4.0, 16.0)),
    'BDD': Grid(BDD, HIGH, (0.5, 2.0)),
    'BDD+LS': Grid(dict(BDD, **LS), LOW, (2.0, 8.0)),
    'BDD+LS, levelled': Grid(LEVELLED, LOW, (1.0, 4.0)),
    MAIN: Grid(dict(LEVELLED, **BESIDE), LOW, (1.0, 4.0)),
    'DKD+LS': Grid(dict(DKD, **LS), LOW, (4.0, 16.0)),
    'CWD': Grid(CWD, taus(0.5, 1.0, 4.0), (3.0, 12.0)),
    'DIST': Grid(dict(type='mmkd.DISTLoss'), HIGH, (1.0, 4.0)),
}


def length_options(length: int) -> dict:
    """How long to train."""
    return {
        'train_cfg.max_iters': length,
        'train_cfg.val_interval': length,
        'param_scheduler.1.end': length,
    }


@dataclass(frozen=True)
class Scale(Plan):
    """A plan for networks of some size.

    Args:
        length: Iterations of a student.
    """

    length: int

    def losses(self, loss: Mapping, options: Mapping) -> dict[str, dict]:
        """Both losses; a standardised one is warmed up over the first quarter."""
        loss = dict(loss)
        losses = {'loss': loss}
        if 'beside' in loss:
            losses['loss_beside'] = loss.pop('beside')
        if loss.get('standardize') and not loss.get('effective_tau'):
            length = options.get('train_cfg.max_iters', self.length)
            loss.setdefault('schedule', dict(warmup=length // 4))
        return losses


def teacher_of(
    scale: str, name: str, options: Mapping | None = None, config: str = 'teacher'
) -> Trial:
    """A teacher's training."""
    path = f'configs/studies/{scale}/{config}.py'
    return Trial('teachers', name, 0, path, options or {})


def scale(
    name: str, teacher: str, length: int, tuning_length: int, seeds: range
) -> Scale:
    """The plan for the networks in a folder of ``configs/studies``.

    Args:
        name: Of the folder.
        teacher: What the teacher is called.
        length: Iterations of a student.
        tuning_length: The same in tuning.
        seeds: Of the comparison.
    """
    return Scale(
        name,
        f'configs/studies/{name}/student.py',
        f'configs/studies/{name}/distilled.py',
        teacher_of(name, teacher),
        teacher_of(name, f'{teacher}_tuning', TUNING),
        GRIDS,
        METRIC,
        TUNING | length_options(tuning_length),
        seeds,
        length,
    )
