"""Methods of the CamVid study of 400 iterations, with the grid of each."""

from collections.abc import Mapping
from dataclasses import dataclass

from studies.grid import Grid, taus
from studies.plan import Plan

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


@dataclass(frozen=True)
class ShortPlan(Plan):
    """Plan of the study.

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
