"""Stages of the CamVid study, in the order of their training."""

from studies.camvid.all_images import all_images
from studies.camvid.few_labels import few_labels
from studies.camvid.other_students import other_students
from studies.camvid.plan import PLAN

STAGES = (
    PLAN.weighting,
    PLAN.teachers,
    PLAN.pair,
    PLAN.tuning,
    PLAN.combined,
    PLAN.times,
    PLAN.baselines,
    PLAN.methods,
    PLAN.more,
    other_students,
    few_labels,
    all_images,
)
