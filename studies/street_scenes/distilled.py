# A trial adds the teacher's checkpoint and distill_losses.
_base_ = './student.py'
runner_type = 'mmkd.DistillRunner'
teacher = dict(config='{{ fileDirname }}/teacher.py', precision='bf16')
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric', stride=4)]
# All trials share a teacher, which has been validated.
custom_hooks = [*_base_.custom_hooks, dict(type='mmkd.TeacherMetricHook', images=0)]
