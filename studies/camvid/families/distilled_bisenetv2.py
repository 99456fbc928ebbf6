# As ../shared.py, for another student.
_base_ = './bisenetv2.py'
runner_type = 'mmkd.DistillRunner'
teacher = dict(config='{{ fileDirname }}/../teacher.py', precision='bf16')
val_evaluator = [_base_.val_evaluator, dict(type='mmkd.FidelityMetric', stride=4)]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmkd.TeacherMetricHook', images=0),
    dict(type='studies.shared_teacher.SharedTeacherHook'),
]
