# Distillations whose time is not measured: those of a seed share the teacher's
# outputs.
_base_ = './distilled.py'
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='studies.shared_teacher.SharedTeacherHook'),
]
