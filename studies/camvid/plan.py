"""Plan of the CamVid study; its protocol is in PROTOCOL.md."""

from studies.camvid_plan import BDD, CB, FEATURE_MSE, KD, LS, NONE, WARMUP, camvid_plan
from studies.grid import Grid, taus

# Each method has the best temperature of studies/camvid_class_balance.
PLAN = camvid_plan(
    'camvid',
    teacher_length=6400,
    lengths=(400, 1600, 6400),
    untimed_config='shared',
    grids={
        'KD': Grid(KD, taus(1.0), (0.25, 1.0, 4.0)),
        'KD, CB': Grid(KD | CB, taus(1.0), (1.0, 4.0, 16.0)),
        'KD+LS': Grid(KD | LS | WARMUP, taus(0.5), (1.0, 4.0, 16.0)),
        'BDD+LS': Grid(BDD | LS | WARMUP, taus(0.25), (0.5, 2.0, 8.0)),
        'CWD': Grid(dict(type='CWDLoss'), taus(1.0), (0.75, 3.0, 12.0)),
        'DIST': Grid(dict(type='DISTLoss'), taus(2.0), (1.0, 4.0, 16.0)),
        'FeatureMSE': Grid(FEATURE_MSE, NONE, (10.0, 30.0, 100.0)),
        'KD, CB + CWD': Grid(KD | CB | dict(added='CWD'), taus(1.0), (1.0, 4.0, 16.0)),
    },
)
