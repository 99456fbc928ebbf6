"""Plan of the CamVid study; its protocol is in PROTOCOL.md."""

from studies.camvid_plan import camvid_plan

PLAN = camvid_plan(
    'camvid',
    teacher_length=12800,
    lengths=(400, 1600, 6400),
    seeds=range(3),
    more_seeds=range(3, 5),
)
