"""Stages of the study of class balancing, in the order of their training."""

from studies.camvid_class_balance.ablation import ablation
from studies.camvid_class_balance.plan import PLAN

STAGES = (
    PLAN.teachers,
    PLAN.pair,
    PLAN.tuning,
    PLAN.combined,
    PLAN.weighting,
    ablation,
)
