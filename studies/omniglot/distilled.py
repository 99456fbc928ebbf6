# A trial adds the teacher's checkpoint and distill_losses.
_base_ = '../../configs/omniglot/resnet8half_20e_omniglot.py'
runner_type = 'mmkd.DistillRunner'
teacher = dict(
    config='{{ fileDirname }}/../../configs/omniglot/resnet20_40e_omniglot.py'
)
train_cfg = dict(val_interval=20)
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric')]
# All trials share a teacher, which has been validated, and those of a seed its outputs.
custom_hooks = [
    dict(type='mmkd.TeacherMetricHook', images=0),
    dict(type='studies.shared_teacher.SharedTeacherHook'),
]
