"""Stages of the CamVid study, in the order of their training."""

from studies.camvid.few_labels import few_labels
from studies.camvid.plan import PLAN

STAGES = (
    PLAN.teachers,
    PLAN.pair,
    PLAN.tuning,
    PLAN.combined,
    PLAN.methods,
    PLAN.more,
    few_labels,
    PLAN.far,
)
