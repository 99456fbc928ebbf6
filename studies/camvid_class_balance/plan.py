"""Plan of the study of class balancing: students without class weights."""

from collections.abc import Sequence

from studies.camvid_plan import (
    CB,
    GRIDS,
    KD,
    TUNING,
    CamVidPlan,
    camvid_plan,
    length_options,
)
from studies.grid import Grid, taus
from studies.plan import TUNING_SEED
from studies.trials import Trial, Trials

LENGTHS = 400, 800, 1600, 3200, 6400, 12800  # of the baseline


class UnweightedPlan(CamVidPlan):
    """Plan whose students have no class weights."""

    def check_pair(self, trials: Trials) -> None:
        """Check nothing: the methods are not compared at the largest length."""

    def pair(self, trials: Trials) -> Sequence[Trial]:
        """Return baselines of all lengths, on held-out data."""
        return [
            self.baseline('pair', TUNING_SEED, TUNING | length_options(n), f'{n}')
            for n in LENGTHS
        ]

    def weights(self, trials: Trials) -> dict:
        """Return the options of all students: none."""
        return {}


PLAN = camvid_plan(
    'camvid_class_balance',
    teacher_length=12800,
    lengths=(400, 1600, 6400),
    grids=GRIDS
    | {'KD, CB + CWD': Grid(KD | CB | dict(added='CWD'), taus(0.5), (1.0, 4.0))},
    kind=UnweightedPlan,
)
